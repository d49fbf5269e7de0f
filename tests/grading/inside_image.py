"""Run with python -I -S: tells what answers find in images. It forks for each, and imports what is heavy once before.

Reads {"packages": folders, "modules": what to import first, "images": {exercise: a question}} as JSON; a question has
the image's folder, modules to import, names to look up, cells to run, names that should be absent, and statements
whose errors are told. Writes a line of JSON for each exercise.
"""

import importlib
import io
import json
import os
import sys
import traceback
from contextlib import redirect_stdout

MACHINERY = ("absent_from", "withheld")  # what an image's own lines bring


def find(path: str) -> object:
    """What stands at "package.module.name"; ImportError or AttributeError where nothing does."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


def is_there(path: str) -> bool:
    try:
        found = find(path)
    except (ImportError, AttributeError):
        return False
    if hasattr(found, "__path__"):  # a package may hand over nothing but names that cannot be used
        names = [name for name in vars(found) if not name.startswith("_") and name not in MACHINERY]
        return any(type(vars(found)[name]).__name__ != "Withheld" for name in names)
    return type(found).__name__ != "Withheld"


def error_of(statement: str) -> str:
    try:
        exec(statement, {})
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def answer(question: dict) -> dict:
    """What an answer in that image finds."""
    sys.path.insert(0, question["folder"])
    for module in question["modules"]:
        importlib.import_module(module)
    if question["prepare"]:
        find(question["prepare"])()
    for path in question["names"]:
        find(path)
    space = {}
    with redirect_stdout(io.StringIO()):
        for cell in question["cells"]:
            exec(compile(cell, "cell", "exec"), space)
    return {
        "check": space["check"](None),
        "defines": callable(space[question["name"]]),
        "there": [path for path in question["absent"] if is_there(path)],
        "errors": [error_of(statement) for statement in question["statements"]],
        "outside": [
            module.__file__
            for name, module in sys.modules.items()
            if name.split(".")[0] == "tplearn" and not module.__file__.startswith(question["folder"])
        ],
    }


def main() -> None:
    asked = json.load(sys.stdin)
    sys.path += asked["packages"]
    for module in asked["modules"]:
        importlib.import_module(module)
    importlib.import_module("torch").set_num_threads(1)
    for name, question in asked["images"].items():
        if os.fork():
            os.wait()
            continue
        try:
            said = answer(question)
        except BaseException:
            said = {"failed": traceback.format_exc()}
        os.write(1, (json.dumps([name, said]) + "\n").encode())
        os._exit(0)


main()
