"""Looks at this machine and says in plain words whether it can run the course, and what to do where it cannot."""

import multiprocessing
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tplearn.finding import Finding

DISTRIBUTION = "tplearn-course"
REINSTALL = f"run `make lab` again; without a clone of the course: pip install '{DISTRIBUTION}[course]'"


def examine() -> list[Finding]:
    """Looks at everything, one finding a line. A look that itself fails is a problem, never a crash."""
    findings: list[Finding] = []
    for look in LOOKS:
        try:
            findings.extend(look())
        except Exception as error:  # whatever is broken on this machine must end up in the report
            subject = look.__name__.strip("_").replace("_", " ")
            findings.append(Finding(subject, "problem", f"{type(error).__name__}: {error}", REINSTALL))
    return findings


def report(findings: list[Finding]) -> None:
    """Prints the findings and a closing sentence."""
    from rich.console import Console
    from rich.table import Table

    colour = {"ok": "green", "warning": "yellow", "problem": "red"}
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, ratio in (("state", None), ("subject", None), ("found", 1)):
        table.add_column(name, ratio=ratio, no_wrap=ratio is None)
    for finding in findings:
        text = finding.found + (f"\n-> {finding.advice}" if finding.advice else "")
        table.add_row(f"[{colour[finding.state]}]{finding.state}[/]", finding.subject, text.replace("[", r"\["))
    # A pipe or a log file has no width of its own: give it enough that no line is folded.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(table)
    problems = sum(finding.state == "problem" for finding in findings)
    warnings = sum(finding.state == "warning" for finding in findings)
    if problems:
        console.print(f"{problems} of {len(findings)} lines name a problem: follow the arrows from top to bottom.")
    else:
        tail = f" ({warnings} with a warning)" if warnings else ""
        console.print(f"This machine can run the course{tail}.")


def _python() -> Iterator[Finding]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield Finding("Python", "ok", found)
    else:
        advice = "the course needs Python 3.11, 3.12 or 3.13: install one, then delete .venv and run `make lab`"
        yield Finding("Python", "problem", found, advice)


def _packages() -> Iterator[Finding]:
    needed = requirements()
    for requirement in needed:
        name, wanted = requirement.name, requirement.specifier
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding(name, "problem", f"missing; the course needs {wanted}", REINSTALL)
            continue
        if not wanted.contains(installed, prereleases=True):
            yield Finding(name, "warning", f"{installed}; the course is tested with {wanted}", REINSTALL)
    yield Finding("packages", "ok", f"looked at {len(needed)}: any that differ stand above")


def requirements() -> list[Requirement]:
    """What a reader of the course needs on this machine: the package's own, and those of the extra `course`."""
    declared = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
    return [each for each in declared if each.marker is None or each.marker.evaluate({"extra": "course"})]


def _cores() -> Iterator[Finding]:
    # A container or taskset may allow fewer cores than the machine has.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores >= 2:
        yield Finding("cores", "ok", str(cores))
    else:
        yield Finding("cores", "warning", "1", "everything works; four ranks will take turns, so timings mean little")


def _memory() -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available / 1e9
    found = f"{free:.1f} GB free"
    if free >= 2:
        yield Finding("memory", "ok", found)
    elif free >= 1:
        yield Finding("memory", "warning", found, "close other programs; a chapter with 8 ranks wants 2 GB")
    else:
        yield Finding("memory", "problem", found, "close other programs: a chapter with 4 ranks wants at least 1 GB")


def _start_method() -> Iterator[Finding]:
    if "forkserver" in multiprocessing.get_all_start_methods():
        yield Finding("start method", "ok", "forkserver is there: ranks can start in about 0.1 s")
    else:
        advice = "everything works, but each run_ranks takes some seconds; on Windows, WSL is faster"
        yield Finding("start method", "warning", "only spawn is there", advice)


def _ranks_on_gloo() -> Iterator[Finding]:
    from tplearn import run_ranks

    try:
        run = run_ranks(_sums_of_ranks, 2, timeout=60.0)
    except Exception as error:
        advice = "allow programs to talk over the loopback interface (127.0.0.1) and to start processes, then try again"
        yield Finding("ranks on gloo", "problem", f"{type(error).__name__}: {error}", advice)
        return
    right = run.values == [[3.0] * 3] * 2
    found = "two ranks met in an all_reduce" + ("" if right else f", and got {run.values} where 3.0 is due")
    yield Finding("ranks on gloo", "ok" if right else "problem", found, "" if right else REINSTALL)
    if run.ledger.rows[-1].transport == "shared memory":
        yield Finding("shared memory", "ok", "ranks exchange small messages in memory that they share")
    else:
        advice = "everything works, and text is generated more slowly; Linux on x86-64 can share memory"
        yield Finding("shared memory", "warning", "small messages travel by gloo", advice)


def _sums_of_ranks() -> list[float]:
    import torch
    import torch.distributed as dist

    from tplearn.parallel import reduce_from_group

    summand = torch.tensor(float(dist.get_rank() + 1))
    return [reduce_from_group(summand).item() for _ in range(3)]  # in the first two, ranks agree on shared memory


def _jupyter_kernel() -> Iterator[Finding]:
    from jupyter_client.manager import run_kernel

    answer: list[str] = []
    with run_kernel(kernel_name="python3", extra_arguments=["--log-level=ERROR"]) as client:
        client.execute_interactive(
            "import sys, tplearn; print(sys.prefix)",
            timeout=60,
            output_hook=lambda message: answer.append(str(message["content"].get("text", ""))),
        )
    prefix = "".join(answer).strip()
    if prefix and Path(prefix) == Path(sys.prefix):
        yield Finding("Jupyter kernel", "ok", "notebooks run with this Python")
        return
    found = f"notebooks run with {prefix}, not with {sys.prefix}" if prefix else "the kernel cannot import tplearn"
    advice = "run `jupyter kernelspec list`, and remove or rename the kernel called python3 that is not in .venv"
    yield Finding("Jupyter kernel", "problem", found, advice)


def _chromium() -> Iterator[Finding]:
    there = any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    yield Finding("Chromium", "ok", "found (only the tests use it)" if there else "not found; only tests would use it")


def _compilers() -> Iterator[Finding]:
    from tplearn.gspmd.torch_xla import ENVIRONMENT

    try:
        yield Finding("JAX", "ok", metadata.version("jax"))
    except metadata.PackageNotFoundError:
        yield Finding("JAX", "ok", "missing; only for chapter 15", f"`make lab`, or pip install '{DISTRIBUTION}[jax]'")
    found = "found" if (ENVIRONMENT / ".done").exists() else "not found; chapter 15 shows a recorded run instead"
    yield Finding("Torch-XLA", "ok", found)


def _jail() -> Iterator[Finding]:
    from tplearn.grading.can_jail import can_jail

    if reason := can_jail():
        yield Finding("jail", "warning", "none; only teachers need it, for `tplearn grade`", reason)
    else:
        yield Finding("jail", "ok", "one was tried: `tplearn grade` can keep students' code in it")


LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _packages,
    _cores,
    _memory,
    _start_method,
    _ranks_on_gloo,
    _jupyter_kernel,
    _chromium,
    _compilers,
    _jail,
)
