"""Packs the course into the wheel: what lies beside tplearn/ here lies inside it there."""

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # whoever builds a wheel does so without it

from tplearn.course.copy import course_files  # noqa: E402
from tplearn.course.places import PACKED  # noqa: E402

RECORDED = "figures/recorded/*.json*"  # recorded runs, which widgets show


class BuildWithCourse(build_py):
    """The package and the course. An editable install has the course beside it, and packs nothing."""

    def run(self) -> None:
        shutil.rmtree(self._inside(), ignore_errors=True)  # pages that an earlier build has left there
        super().run()
        if not self.editable_mode:
            for packed, name in self._packed().items():
                self.mkpath(str(Path(packed).parent))
                self.copy_file(name, packed)

    def get_source_files(self) -> list[str]:
        """What an sdist holds."""
        return [*super().get_source_files(), *self._packed().values()]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What a wheel holds."""
        return [*super().get_outputs(include_bytecode), *([] if self.editable_mode else self._packed())]

    def _packed(self) -> dict[str, str]:
        """{file in the built package: file here}."""
        names = [*course_files(HERE), *(path.relative_to(HERE).as_posix() for path in HERE.glob(RECORDED))]
        return {str(self._inside() / name): name for name in sorted(names)}

    def _inside(self) -> Path:
        return Path(self.build_lib, PACKED.relative_to(HERE))


setup(cmdclass={"build_py": BuildWithCourse})
