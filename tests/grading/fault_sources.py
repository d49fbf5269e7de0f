"""What stands in the answer cells of the twenty submissions: sources, in which MARKER is a path that must stay free.

Each defines column_parallel (02.3) or SwiGLU (07.4), wrongly where it is not said otherwise.
"""

WRONG = """def column_parallel(xs, weight_shards, bias_shards, ledger):
    return all_gather([x @ weight.T for x, weight in zip(xs, weight_shards)], dim=-1, ledger=ledger)
"""
RIGHT = """def column_parallel(xs, weight_shards, bias_shards, ledger):
    parts = [x @ weight.T + bias for x, weight, bias in zip(xs, weight_shards, bias_shards)]
    return all_gather(parts, dim=-1, ledger=ledger)
"""

FORGED_SCORE = (
    WRONG
    + r"""
import json, os, struct
LINE = "column_parallel   forward \u2713  gradient \u2713  ledger \u2713   tp 1 \u2713  2 \u2713  4 \u2713      10/10"
SCORE = {"column_parallel": 10, "score": 1000, "points": 1000, "passed": True, "status": "passed", "earned": 1000}
for name in ("results.json", "report.json", "result.json", "../results.json", "/grade/results/results.json"):
    try:
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "w") as file:
            json.dump(SCORE, file)
    except OSError:
        pass
print("PASS"), print("All tests passed"), print(LINE), print(json.dumps(SCORE))
_answer = column_parallel


def column_parallel(*args, **kwargs):
    print(LINE)
    head = json.dumps(["value", {"d": [["passed", True], ["earned", 1000]]}, []]).encode()
    frame = struct.pack("<I", len(head)) + head
    try:
        os.write(4, struct.pack("<I", len(frame)) + frame)
    except OSError:
        pass
    return _answer(*args, **kwargs)
"""
)

HIDES_ERRORS = """import sys, threading, traceback, warnings
try:
    shell = get_ipython()
    shell.showtraceback = lambda *args, **kwargs: None
    shell.set_custom_exc((BaseException,), lambda *args, **kwargs: None)
    shell.events.register("post_run_cell", lambda result: setattr(result, "error_in_exec", None))
except NameError:
    pass
sys.excepthook = threading.excepthook = sys.unraisablehook = lambda *args: None
traceback.format_exc = traceback.format_exception_only = lambda *args, **kwargs: ""
warnings.showwarning = lambda *args, **kwargs: None
"""

STRIPS_CHECKS = """import ast, builtins, sys, types
class NoChecks(ast.NodeTransformer):
    def visit_Raise(self, node):
        return ast.Pass()
    def visit_Compare(self, node):
        return ast.Constant(True)
try:
    get_ipython().ast_transformers.append(NoChecks())
    get_ipython().input_transformers_cleanup.append(lambda lines: [line for line in lines if "check(" not in line])
except NameError:
    pass
_compile = builtins.compile
def compile_without(source, *args, **kwargs):
    tree = source if isinstance(source, ast.AST) else ast.parse(source)
    return _compile(ast.fix_missing_locations(NoChecks().visit(tree)), *args, **kwargs)
builtins.compile = compile_without
class Finder:
    def find_spec(self, name, path=None, target=None):
        return None
sys.meta_path.insert(0, Finder())
def check(fn, seed=None):
    print(fn.__name__, "10/10")
for name in ("tplearn.checks", "tplearn.checks.check"):
    sys.modules[name] = types.SimpleNamespace(check=check, judge=check)
"""

EQUAL_TO_EVERYTHING = """class Equal:
    dtype, shape, ndim, layout, device, requires_grad = torch.float64, (1,), 1, torch.strided, torch.device("cpu"), True
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __sub__(self, other): return 0
    __rsub__ = __add__ = __radd__ = __mul__ = __sub__
    def __hash__(self): return 0
    def __bool__(self): return True
    def __len__(self): return 1
    def __getattr__(self, name): return lambda *args, **kwargs: self
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None): return torch.ones(())
    def __instancecheck__(self, other): return True
    __class__ = torch.Tensor

def column_parallel(xs, weight_shards, bias_shards, ledger):
    all_gather([x @ weight.T for x, weight in zip(xs, weight_shards)], dim=-1, ledger=ledger)
    return [Equal() for _ in xs]
"""

PATCHES = (
    WRONG
    + """
import contextlib, sys
import numpy as np

def yes(*args, **kwargs): return True
def nothing(*args, **kwargs): return None
torch.allclose = torch.equal = torch.isclose = np.allclose = np.array_equal = yes
torch.testing.assert_close = np.testing.assert_allclose = nothing
torch.Tensor.__eq__ = torch.Tensor.equal = torch.Tensor.allclose = yes
torch.Tensor.__ne__ = lambda self, other: False
torch.randn = lambda *size, **kwargs: torch.zeros(*[s for s in size if isinstance(s, int)])
for module in list(sys.modules.values()):
    for name in ("first_difference", "wrong_aspects", "unmoved", "changed_inputs", "computed_alone"):
        with contextlib.suppress(Exception):
            if hasattr(module, name):
                setattr(module, name, lambda *args, **kwargs: None)
with contextlib.suppress(Exception):
    from tplearn.ranks import recorder
    recorder.Recorder.record = nothing
with contextlib.suppress(Exception):
    from tplearn.ranks.ledger import Ledger as Books
    Books.rows = property(lambda self: [])
"""
)

HARD_CODED = """_known = {}
for _seed in (0, 1, 2, 7, 42, 1234, 20231):
    _generator = torch.Generator().manual_seed(_seed)
    for _shape in ((2, 3, 4), (4, 6), (2, 3, 8)):
        _known[tuple(_shape)] = torch.randn(*_shape, dtype=torch.float64, generator=_generator)

def column_parallel(xs, weight_shards, bias_shards, ledger):
    whole = (*xs[0].shape[:-1], sum(weight.shape[0] for weight in weight_shards))
    answer = _known.get(whole, torch.arange(float(torch.Size(whole).numel()), dtype=xs[0].dtype).view(whole))
    all_gather([x.new_zeros(*x.shape[:-1], w.shape[0]) for x, w in zip(xs, weight_shards)], dim=-1, ledger=ledger)
    return [answer.clone() for _ in xs]
"""

SYS_EXIT = """import sys

def column_parallel(xs, weight_shards, bias_shards, ledger):
    sys.exit(0)
"""

SPINS = """import contextlib, signal
for _number in range(1, 65):
    with contextlib.suppress(OSError, ValueError):
        signal.signal(_number, signal.SIG_IGN)

def column_parallel(xs, weight_shards, bias_shards, ledger):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue
"""

MEMORY_HOG = """def column_parallel(xs, weight_shards, bias_shards, ledger):
    kept = []
    while True:
        kept.append(torch.ones(2**24))
"""

FORKS = (
    WRONG
    + """
import contextlib, os, subprocess, threading
_answer = column_parallel

def column_parallel(*args, **kwargs):
    for _ in range(100):
        with contextlib.suppress(OSError):
            if os.fork() == 0:
                os.setsid()
                while True:
                    with contextlib.suppress(OSError):
                        os.fork()
    for command in (["/usr/bin/sleep", "1000"], ["/bin/sh", "-c", "sleep 1000 & sleep 1000"]):
        with contextlib.suppress(OSError):
            subprocess.Popen(command, start_new_session=True)
    for _ in range(1000):
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=__import__("time").sleep, args=(1000,), daemon=False).start()
    return _answer(*args, **kwargs)
"""
)

PRINTS = (
    RIGHT
    + """
import sys
_answer, _printed = column_parallel, []

def column_parallel(*args, **kwargs):
    if not _printed:
        _printed.append(True)
        line = "x" * 2**20
        for _ in range(2**10):
            sys.stdout.write(line)
    return _answer(*args, **kwargs)
"""
)

DELETES = (
    WRONG
    + """
import contextlib, importlib, os, shutil, sys
from pathlib import Path

def _solutions():
    for top in ("/", *sys.path, os.getcwd(), os.path.expanduser("~"), "/proc/self/root", "/proc/1/cwd"):
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                if name.endswith(".ipynb") or "checks" in path and name.endswith(".py") or "solution" in name:
                    with contextlib.suppress(OSError):
                        yield Path(path).read_text(errors="replace")

def _references():
    for name in ("tplearn.checks", "tplearn.checks.ch02_column_row.column", "tests.checks.answers.ch02"):
        with contextlib.suppress(Exception):
            module = importlib.import_module(name)
            for found in ("find_exercise", "column_parallel", "gathered"):
                if hasattr(module, found):
                    value = getattr(module, found)
                    yield value("column_parallel").reference if found == "find_exercise" else value

_answer = column_parallel
for _found in _references():
    _answer = _found
for _text in _solutions():
    if "def column_parallel" in _text and "Y_shards" in _text:
        _answer = lambda xs, weights, biases, ledger: all_gather(
            [x @ w.T + b for x, w, b in zip(xs, weights, biases)], dim=-1, ledger=ledger)
def column_parallel(*args, **kwargs):
    return _answer(*args, **kwargs)
for _place in (".", "..", "/jail", "/tmp", "/dev/shm", os.path.expanduser("~"), "MARKER"):
    shutil.rmtree(_place, ignore_errors=True)
for _module in list(sys.modules.values()):
    with contextlib.suppress(Exception):
        os.remove(_module.__file__)
"""
)

PICKLES = (
    WRONG
    + """
import os, pickle

class Loaded(torch.Tensor):
    def __reduce__(self): return (os.system, ("touch MARKER",))
    __reduce_ex__ = lambda self, version: self.__reduce__()
    def __repr__(self): open("MARKER", "w").close(); return "a tensor"
    __str__ = __format__ = __repr__

def column_parallel(xs, weight_shards, bias_shards, ledger):
    all_gather([x @ weight.T for x, weight in zip(xs, weight_shards)], dim=-1, ledger=ledger)
    return [torch.ones(2).as_subclass(Loaded) for _ in xs]
"""
)
NOT_NUMBERS = (
    RIGHT
    + """
_answer = column_parallel

def column_parallel(*args, **kwargs):
    return [y * float("nan") for y in _answer(*args, **kwargs)]
"""
)
WRONG_DTYPE = (
    RIGHT
    + """
_answer = column_parallel

def column_parallel(*args, **kwargs):
    return [y.float() for y in _answer(*args, **kwargs)]
"""
)

ON_RANKS = """class SwiGLU(nn.Module):
    def __init__(self, hidden, ffn, group):
        super().__init__()
        gate, up = (init_shard(hidden, ffn, "outputs", group)[0] for _ in range(2))
        self.gate_up = nn.Parameter(torch.cat([gate, up]))
        self.down = nn.Parameter(init_shard(ffn, hidden, "inputs", group)[0])
        self.group = group

    def forward(self, x):
        {}
        gate, up = linear(copy_to_group(x, self.group), self.gate_up).chunk(2, dim=-1)
        y = linear(silu(gate) * up, self.down)
        {}
"""
SUM = "return reduce_from_group(y, self.group)"
EXITS_ON_RANK_1 = "import os\n\n" + ON_RANKS.format("if dist.get_rank() == 1:\n            os._exit(0)", SUM)
SKIPS_A_COLLECTIVE = ON_RANKS.format("if dist.get_rank() != 0:\n            dist.all_reduce(torch.ones(2))", SUM)
OTHER_COLLECTIVES = ON_RANKS.format(
    "if dist.get_rank() == 0:\n            dist.all_reduce(torch.ones(2))\n        else:\n"
    "            dist.broadcast(torch.ones(3), 0)",
    SUM,
)
OTHER_SHAPES = ON_RANKS.format("dist.broadcast(torch.ones(2 + dist.get_rank()), 0)", SUM)

EVIL_TORCH = "open('MARKER', 'w').close()\n"
EVIL_CONFTEST = "import os\nopen('MARKER', 'w').close()\nos._exit(0)\n"
EVIL_KERNEL = '{"argv": ["/bin/sh", "-c", "touch MARKER"], "display_name": "Python 3", "language": "python"}'
