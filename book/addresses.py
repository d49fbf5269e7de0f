"""Where the course lives on the web: every address is made from `[project.urls]` in pyproject.toml."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

ROOT = Path(__file__).parent.parent
BRANCH = "main"
STAND_IN = "https://github.com/OWNER/REPO"  # what texts write for the repository's address
COLAB_BRANCH = "colab"  # made by .github/workflows/book.yml


@dataclass(frozen=True)
class Addresses:
    """owner and repo as GitHub names them. Paths are relative to the repository, with forward slashes."""

    owner: str
    repo: str

    @property
    def repository(self) -> str:
        return f"https://github.com/{self.owner}/{self.repo}"

    @property
    def pages(self) -> str:
        """Where the workflow publishes the book; ends in a slash."""
        return f"https://{self.owner.lower()}.github.io/{self.repo}/"

    @property
    def codespaces(self) -> str:
        return f"https://codespaces.new/{self.owner}/{self.repo}?quickstart=1"

    def source(self, path: str) -> str:
        return f"{self.repository}/blob/{BRANCH}/{quote(path)}"

    def colab(self, path: str) -> str:
        return f"https://colab.research.google.com/github/{self.owner}/{self.repo}/blob/{COLAB_BRANCH}/{quote(path)}"

    def binder(self, path: str) -> str:
        return f"https://mybinder.org/v2/gh/{self.owner}/{self.repo}/{BRANCH}?labpath={quote(path, safe='')}"

    def report(self, path: str) -> str:
        """A new issue that names the page already."""
        about = {"title": f"{path}: ", "body": f"Page: {path}\n\nWhat is wrong, and what did you expect?\n"}
        return f"{self.repository}/issues/new?{urlencode(about, quote_via=quote)}"


def addresses(project_file: Path = ROOT / "pyproject.toml") -> Addresses:
    """Read from the project file. ValueError where its Repository is not https://github.com/OWNER/REPO."""
    urls = tomllib.loads(project_file.read_text())["project"].get("urls", {})
    parts = urls.get("Repository", "").removeprefix("https://github.com/").removesuffix(".git").split("/")
    if len(parts) != 2 or not all(parts):
        raise ValueError(
            f"{project_file.name}: [project.urls] has Repository = {urls.get('Repository')!r}; "
            'the book needs "https://github.com/OWNER/REPO"'
        )
    return Addresses(*parts)
