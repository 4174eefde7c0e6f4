"""Every sentence that a module can make, from its source: one for each way through its strings.

Blanks are filled in by the names of what fills them; what is not known is a number.
"""

from __future__ import annotations

import ast
import re
from itertools import chain, pairwise, product
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_MADE = {
    "size": ["12 B"],
    "duration": ["3.2 ms"],
    "numbers": ["#4-#6"],
    "packets": ["packet #4", "packets #4, #6"],
    "call": ["close() #11"],
    "ref": ["close() #11"],
    "often": ["once", "twice", "3 times"],
    "text": ["tcp"],
}
"""What small functions make."""

_HELD = {"word": ["the server", "the client"], "ev": ["close"], "name": ["tcp"]}
"""What is in variables and attributes."""


class Sentences:
    """The sentences of some modules."""

    def __init__(self, paths: Iterable[Path], hints: dict[str, list[str] | str]) -> None:
        """Read them.

        Args:
            paths: Of the modules.
            hints: What functions make and variables hold, if it is hard to see; or which function makes it.
        """
        self.hints: dict[str, list[str] | str] = {**_MADE, **_HELD, **hints}
        self.functions: dict[str, ast.FunctionDef] = {}
        self.tables: dict[str, list[str]] = {}
        self._trees: list[ast.Module] = []
        self.parts: set[str] = {it for it in hints.values() if isinstance(it, str)}
        """Functions that make a part of a sentence only."""
        for path in paths:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            self._trees.append(tree)
            classes = [it for it in tree.body if isinstance(it, ast.ClassDef)]
            for prefix, body in (("", tree.body), *((".", it.body) for it in classes)):
                for it in body:
                    self._know(it, prefix)

    def _know(self, it: ast.stmt, prefix: str) -> None:
        if isinstance(it, ast.FunctionDef) and isinstance(it.returns, ast.Name) and it.returns.id == "str":
            self.functions[prefix + it.name] = it
        elif isinstance(it, ast.Assign) and isinstance(it.value, ast.Dict):
            values = [at.value for at in it.value.values if isinstance(at, ast.Constant)]
            self.tables[_name(it.targets[0])] = [str(at) for at in values]

    def __iter__(self) -> Iterator[str]:
        made = {name: self.made(name) for name in self.functions if name not in self.hints}
        whole = chain(*[made[name] for name in made if name not in self.parts])
        yield from (it for it in dict.fromkeys(whole) if not _LACKS.search(it))

    def strings(self) -> Iterator[str]:
        """Every string of a few words, whatever it is a part of."""
        for tree in self._trees:
            within = {
                id(part)
                for it in ast.walk(tree)
                if isinstance(it, ast.Expr | ast.JoinedStr)
                for part in ast.walk(it)
                if part is not it
            }
            functions = [it for it in ast.walk(tree) if isinstance(it, ast.FunctionDef)]
            tables = [it for it in tree.body if isinstance(it, ast.Assign | ast.AnnAssign)]
            for where in (*functions, *tables):
                scope = _Scope(self, where, (getattr(where, "name", ""),))
                for it in ast.walk(where):
                    if isinstance(it, ast.JoinedStr | ast.Constant) and id(it) not in within:
                        yield from (said for said in scope.ways(it) if _WORDS.search(said))

    def made(self, name: str, above: tuple[str, ...] = ()) -> list[str]:
        """What a function returns."""
        if name in above:
            return []
        function = self.functions[name]
        returns = [it.value for it in ast.walk(function) if isinstance(it, ast.Return) and it.value]
        scope = _Scope(self, function, (*above, name))
        return list(dict.fromkeys(chain(*[scope.ways(it) for it in returns])))


_LACKS = re.compile(r"^$|^: |  | ;| $|^\d+$|: 7$")
"""What cannot be: a part of it is only there with another."""

_WORDS = re.compile(r"^[^ ,:].*[a-z]{2,} (?:[^a-z]* )?[a-z]{2,}.*[^ ,:]$")


class _Scope:
    """A function's names."""

    def __init__(self, of: Sentences, function: ast.AST, above: tuple[str, ...]) -> None:
        self._of, self._above = of, above
        self._own = f"{above[-1]}:"
        self._values: dict[str, list[ast.expr]] = {}
        for it in ast.walk(function):
            if isinstance(it, ast.NamedExpr):
                self._set(it.target, it.value)
            elif isinstance(it, ast.Assign):
                self._set(it.targets[0], it.value)
            elif isinstance(it, ast.AugAssign):
                for was in self._values.get(_name(it.target), [])[:]:
                    self._set(it.target, ast.BinOp(was, ast.Add(), it.value))

    def _set(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple):
            them = value.elts if isinstance(value, ast.Tuple) else []
            for it, one in zip(target.elts, them, strict=False):
                self._set(it, one)
        elif isinstance(target, ast.Name):
            self._values.setdefault(target.id, []).append(value)

    def ways(self, node: ast.expr) -> list[str]:
        """All that an expression can be."""
        return list(dict.fromkeys(self._ways(node)))

    def _ways(self, node: Any) -> Iterable[str]:
        match node:
            case ast.Constant(value=str()):
                return [node.value]
            case ast.JoinedStr():
                return self._together([*map(self._part, node.values)])
            case ast.BinOp(op=ast.Add()):
                return self._together([self._part(node.left), self._part(node.right)])
            case ast.FormattedValue():
                return self._part(node.value)
            case ast.Call():
                return self._called(node)
            case ast.Attribute(attr=name) | ast.Name(id=name):
                return self._named(name)
        return chain(*map(self.ways, _one_of(node))) if _one_of(node) else ["7"]

    def _part(self, node: ast.expr) -> list[str]:
        """Of what is put into a sentence: who makes it makes no whole one."""
        calls = [_called_name(it) for it in ast.walk(node) if isinstance(it, ast.Call)]
        self._of.parts.update(calls)
        return self.ways(node)

    def _together(self, parts: list[list[str]]) -> list[str]:
        return ["".join(it) for it in product(*parts)]

    def _named(self, name: str) -> Iterable[str]:
        for key in (self._own + name, name):
            if key in self._of.hints:
                return self._hinted(key)
        values = self._values.pop(name, [])  # what it is made of may be itself
        found = list(chain(*map(self.ways, values)))
        self._values[name] = values
        return found or ["7"]

    def _hinted(self, name: str) -> list[str]:
        hint = self._of.hints[name]
        return self._of.made(hint, self._above) if isinstance(hint, str) else hint

    def _called(self, node: ast.Call) -> Iterable[str]:
        name, owner = _called_name(node), getattr(node.func, "value", None)
        if name == ".join":
            return self._list(owner, node.args[0])
        if name == ".get":
            return self._of.tables.get(_name(owner), ["7"])
        if name == ".replace":
            old, new = (it.value for it in node.args if isinstance(it, ast.Constant))
            return [it.replace(str(old), str(new)) for it in self.ways(owner)]
        if name in ("min", "list", ".fromkeys", "filter"):
            return chain(*map(self.ways, node.args))
        if name == "plural" and isinstance(node.args[1], ast.Constant):
            return [f"2 {node.args[1].value}s"]
        if name in self._of.hints:
            return self._hinted(name)
        return self._of.made(name, self._above) if name in self._of.functions else ["7"]

    def _list(self, joint: Any, them: Any) -> list[str]:
        """Of one, and of two."""
        one = [it for it in self._part(them) if not _LACKS.search(it)]
        return [*one, *[self.ways(joint)[0].join(it) for it in pairwise(one)]]


def _one_of(node: Any) -> list[ast.expr]:
    """Expressions of which a node is one: any item stands for its list."""
    match node:
        case ast.IfExp(body=one, orelse=other):
            return [one, other]
        case ast.BoolOp(values=them) | ast.List(elts=them):
            return them
        case ast.ListComp(elt=one) | ast.GeneratorExp(elt=one):
            return [one]
        case ast.Starred(value=one) | ast.Subscript(value=one):
            return [one]
    return []


def _called_name(node: ast.Call) -> str:
    """A method's begins with a dot."""
    return _name(node.func) if isinstance(node.func, ast.Name) else f".{_name(node.func)}"


def _name(node: Any) -> str:
    return str(getattr(node, "id", "") or getattr(node, "attr", ""))


@pytest.fixture(scope="session")
def sentences() -> type[Sentences]:
    """The reader of modules."""
    return Sentences
