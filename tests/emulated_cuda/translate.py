# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Rewrite what of CUDA is no C++ in copies of csrc/, for the emulation: launches, shared memory.

    python translate.py CSRC OUT

Writes the copies of the files that need it under OUT, with the line numbers of the originals.
What it does not understand is an error.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

#: Words of CUDA that the emulation knows; any other word of this form is refused.
KNOWN = {
    "__global__", "__device__", "__host__", "__forceinline__", "__launch_bounds__", "__shared__",
    "__syncthreads", "__any_sync", "__shfl_down_sync", "__popcll", "__ldcg",
    "__CUDACC__", "__CUDA_ARCH__",  # the second is not defined: the branch of the host runs
    "__expf", "__fdividef", "__ffs", "__clz",  # in that branch only
}  # fmt: skip
OF_THE_COMPILER = re.compile(
    r"__(builtin_\w+|attribute__|restrict__|FILE__|LINE__|GNUC__|clang__|x86_64__|has_\w+)$"
)


class NotUnderstood(Exception):
    pass


def masked(text: str) -> str:
    """The text with comments and literals blanked, places kept."""
    pattern = r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'"
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL)


class Source:
    """A file, its masked text, and the replacements that were decided on."""

    def __init__(self, path: Path) -> None:
        self.path, self.text = path, path.read_text()
        self.mask = masked(self.text)
        self.changes: list[tuple[int, int, str]] = []

    def fail(self, at: int, why: str) -> NotUnderstood:
        line = self.mask.count("\n", 0, at) + 1
        return NotUnderstood(f"{self.path}:{line}: {why}")

    def closing(self, at: int) -> int:
        """The place after the bracket that closes the one at `at`."""
        pairs = {"(": ")", "[": "]", "{": "}"}
        stack = []
        for i in range(at, len(self.mask)):
            c = self.mask[i]
            if c in pairs:
                stack.append(pairs[c])
            elif c in ")]}":
                if not stack or stack.pop() != c:
                    break
                if not stack:
                    return i + 1
        raise self.fail(at, "a bracket that does not close")

    def check_words(self) -> None:
        for m in re.finditer(r"\b__\w+", self.mask):
            if m[0] not in KNOWN and not OF_THE_COMPILER.match(m[0]):
                raise self.fail(m.start(), f"`{m[0]}` is unknown to the emulation of CUDA")

    def kernels(self) -> dict[str, str]:
        """The kernels defined here and the expressions of their launch bounds."""
        found: dict[str, str] = {}
        for m in re.finditer(r"\b__global__\b", self.mask):
            at, bound = m.end(), "1024"
            for _ in range(2):  # `void` and the bounds, in either order
                if gap := re.compile(r"\s*void\b").match(self.mask, at):
                    at = gap.end()
                if gap := re.compile(r"\s*__launch_bounds__\s*(?=\()").match(self.mask, at):
                    end = self.closing(gap.end())
                    bound, at = self.text[gap.end() + 1 : end - 1], end
            name = re.compile(r"\s*(\w+)\s*\(").match(self.mask, at)
            if name is None or "," in bound:
                raise self.fail(m.start(), "a kernel that is not understood")
            found[name[1]] = " ".join(bound.split())
        return found

    def replace_launches(self, bounds: dict[str, str]) -> None:
        for m in re.finditer("<<<", self.mask):
            name = re.search(r"((?:\w+::)*(\w+))\s*$", self.mask[: m.start()])
            if name is None or name[2] not in bounds:
                raise self.fail(m.start(), "a launch of what is no known kernel")
            end = depth = 0
            for i in range(m.end(), len(self.mask)):
                depth += (self.mask[i] in "([{") - (self.mask[i] in ")]}")
                if depth == 0 and self.mask.startswith(">>>", i):
                    end = i
                    break
            arguments = re.compile(r"\s*\(").match(self.mask, end + 3) if end else None
            if arguments is None:
                raise self.fail(m.start(), "a launch that is not understood")
            close = self.closing(arguments.end() - 1)
            given = self.text[arguments.end() : close - 1]
            kernel = "[](const auto&... given_) { " + name[1] + "(given_...); }"
            self.changes.append(
                (
                    name.start(),
                    close,
                    f'::emulated_cuda::Launch{{"{name[2]}", {{__FILE__, __LINE__}}, '
                    f"static_cast<unsigned>({bounds[name[2]]}), {{}}, {{}}}}"
                    f".with({self.text[m.end() : end]}).run({kernel}"
                    + (f", {given}" if given.strip() else "")
                    + ")",
                )
            )

    def replace_shared(self) -> None:
        known = re.compile(r"(extern\s+)?__shared__\s+([\w:]+)\s+(\w+)\s*\[([^];]*)\]\s*;")
        for m in re.finditer(r"(extern\s+)?\b__shared__\b", self.mask):
            d = known.match(self.mask, m.start())
            if d is None or bool(d[1]) == bool(d[4].strip()) or "\n" in d[0]:
                raise self.fail(m.start(), "a __shared__ variable that is not understood")
            kind, name, extent = d[2], d[3], d[4]
            if d[1]:
                new = (
                    f"{kind}* const {name} = "
                    f"::emulated_cuda::dynamic_shared<{kind}>(__FILE__, __LINE__);"
                )
            else:
                new = (
                    f"auto& {name} = "
                    f"::emulated_cuda::static_shared<{kind}[({extent})]>(__FILE__, __LINE__);"
                )
            self.changes.append((d.start(), d.end(), new))

    def translated(self) -> str:
        out, at = [f'#line 1 "{self.path}"\n'], 0
        for begin, end, new in sorted(self.changes):
            out += [self.text[at:begin], new]
            missing = self.text.count("\n", begin, end) - new.count("\n")
            out.append("\n" * missing)
            at = end
        return "".join([*out, self.text[at:]])


def main() -> None:
    csrc, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    sources = [
        Source(p)
        for p in sorted(csrc.rglob("*"))
        if p.suffix in (".cu", ".cuh", ".hpp") and not {"bindings", "third_party"} & {*p.parts}
    ]
    if not sources:
        raise NotUnderstood(f"{csrc}: no CUDA here")
    bounds: dict[str, str] = {}
    for source in sources:
        for name, bound in source.kernels().items():
            if bounds.setdefault(name, bound) != bound:
                raise NotUnderstood(f"{source.path}: a second kernel `{name}`, with other bounds")
    for source in sources:
        source.check_words()
        source.replace_launches(bounds)
        source.replace_shared()
        if source.path.suffix == ".hpp" and not source.changes:
            continue  # taken from csrc/
        target = out / source.path.relative_to(csrc)
        target = target.with_suffix(target.suffix + ".cpp") if target.suffix == ".cu" else target
        target.parent.mkdir(parents=True, exist_ok=True)
        new = source.translated()
        if not target.exists() or target.read_text() != new:
            target.write_text(new)


if __name__ == "__main__":
    try:
        main()
    except NotUnderstood as error:
        sys.exit(str(error))
