"""The gate of the Coq development: builds it from clean, accepts no theorem that needs an axiom.

    python3 proofs/check.py [--sources DIR] [--write-statements]

It needs Python's standard library, Coq (tested: 8.16.1) and MathComp (tested: 1.15).  In order:

1. the sources, comments and strings apart, hold nothing that could assume or hide something, and
   Statements.v holds nothing but definitions and theorems whose proofs are the name of another one;
2. every id of the theory has a claim in Statements.v and a theorem about it;
3. all of it compiles, in a temporary folder;
4. what Coq prints of the statements and of every definition they rest on is statements.txt;
5. Coq's `Print Assumptions` of every theorem and lemma is "Closed under the global context".

Exit status 0 if all of it is so, 1 if something is not, 2 if there is nothing to check or no Coq
to ask.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

SOURCES = Path(__file__).parent / "coq"
IDS = (*(f"A{n}" for n in range(9)), *(f"B{n}" for n in range(1, 7)))
TIMEOUT = 90
INTRODUCTION = """\
What Coq prints of the theorems of Statements.v, then of the definitions that they rest on.
Written by `python3 proofs/check.py --write-statements`; the gate compares it.

"""
CLOSED = "Closed under the global context"
PACKAGES = ("coq", "libcoq-mathcomp-algebra", "libcoq-mathcomp-algebra-tactics")

LIBRARIES = {
    "mathcomp": {"all_ssreflect", "all_algebra"},
    "mathcomp.algebra_tactics": {"ring"},
}
PREAMBLE = "\n".join(
    f"From {folder} Require Import {' '.join(sorted(names))}."
    for folder, names in LIBRARIES.items()
)
OPTIONS = ("Set Implicit Arguments", "Unset Strict Implicit", "Unset Printing Implicit Defensive")
OPENED = ("Import Order.TTheory GRing.Theory Num.Theory", "Local Open Scope ring_scope")

EXPLICITLY = "Set Printing All."
FORBIDDEN = re.compile(
    r"\b(Admitted|admit|Admit|give_up|Axioms?|Parameters?|Conjectures?|Primitive|Declare|Module"
    r"|(?:Guard|Positivity|Universe)\s+Checking|bypass_check|Extract\w*|Load|Cd|Drop|Redirect"
    r"|Infix|Coercion|Canonical|Register|Goal|Abort)\b|-?type-in-type|\bNotation\s+\""
    r"|\b(?:Number|String|Numeral|Reserved)\s+Notation\b|#\[|^(?:Record|Structure|Class)\b.*:>"
)
"""Words that assume something, hide something, or make a statement look like another one."""
ONLY_IN_SECTIONS = re.compile(r"\b(Hypothes[ie]s|Variables?|Context|Let)\b")
THEOREM = re.compile(
    r"(?:(?:#\[[^]]*\]|Local|Global|Program|Polymorphic|Time)\s+)*"
    r"(?:Theorem|Lemma|Corollary|Fact|Proposition|Remark|Example|Property)\s+([\w']+)"
)
STATEMENT = re.compile(
    r"(From|Set|Unset|Import|Local|Definition|Theorem) |(Proof|exact: [\w']+|Qed)$"
)


class RejectedError(Exception):
    """What is wrong, and where: one line per finding."""


# Reading the sources


@lru_cache
def without_comments(text: str) -> str:
    """The same text, of the same length and lines, with blanks for comments and in strings."""
    kept, depth, in_string = [], 0, False
    for token in re.findall(r'\(\*|\*\)|"|[^(*)"]+|.', text, flags=re.S):
        hidden = depth or in_string
        if token == '"':
            in_string = not in_string
            hidden = depth
        elif not in_string and (token == "(*" or (token == "*)" and depth)):
            depth += 1 if token == "(*" else -1
            hidden = True
        kept.append(re.sub(r"[^\n]", " ", token) if hidden else token)
    return "".join(kept)


@lru_cache
def sentences(text: str) -> list[tuple[int, str]]:
    """Line and text, white space made plain, of every sentence of Coq outside comments."""
    code, start, found = without_comments(text), 0, []
    for end in re.finditer(r"\.(?=\s|$)|\Z", code):
        sentence = code[start : end.start()]
        if sentence.strip():
            blank = len(sentence) - len(sentence.lstrip())
            line = code.count("\n", 0, start + blank) + 1
            found.append((line, " ".join(sentence.split())))
        start = end.end()
    return found


def imports(sentence: str, own: Iterable[str]) -> list[str] | None:
    """Which of our files a sentence requires; None if it may not require what it does."""
    found = re.fullmatch(r"From ([\w.]+) Require Import ([\w ]+)", sentence)
    allowed = LIBRARIES | {"mdtheory": set(own)}
    if not found or not set(found[2].split()) <= allowed.get(found[1], set()):
        return None
    return found[2].split() if found[1] == "mdtheory" else []


def required(texts: dict[str, str]) -> dict[str, set[str]]:
    """For each of our files, which of them it requires."""
    return {
        name: {other for _, sentence in sentences(text) for other in imports(sentence, texts) or ()}
        for name, text in texts.items()
    }


def read(folder: Path) -> dict[str, str]:
    """The text of every source by its name without `.v`."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.v"))}
    if "Statements" not in texts:
        raise RejectedError(f"{folder} holds no Statements.v")
    return texts


# 1 and 2: what the text alone shows


def findings_in(name: str, text: str, own: Iterable[str]) -> Iterable[str]:
    """What is wrong with one source, by file and line."""
    depth = 0
    for line, sentence in sentences(text):
        where = f"{name}.v:{line}: "
        first = sentence.split()[0].lstrip("-+*{} ")
        depth += (first == "Section") - (first == "End")
        if found := FORBIDDEN.search(sentence):
            yield f"{where}{found[0].strip()} is not allowed: {sentence[:60]}"
        elif depth <= 0 and (found := ONLY_IN_SECTIONS.search(sentence)):
            yield f"{where}{found[0]} outside a section is an axiom: {sentence[:60]}"
        elif first in ("Set", "Unset", "Import", "Export", "Open", "Local", "Global"):
            if sentence not in (*OPTIONS, *OPENED):
                yield f"{where}only the usual preamble is allowed, not: {sentence[:60]}"
        elif re.search(r"\bRequire\b", sentence) and imports(sentence, own) is None:
            yield f"{where}only MathComp's and our own files may be required: {sentence[:60]}"
        elif name == "Statements" and not STATEMENT.match(sentence):
            yield f"{where}a proof here must be `exact: name.`, and nothing else: {sentence[:60]}"


def theorems(text: str) -> dict[str, str]:
    """Every theorem, lemma and so on of a source: name -> its sentence."""
    found = ((THEOREM.match(sentence), sentence) for _, sentence in sentences(text))
    return {match[1]: sentence for match, sentence in found if match}


def definitions(text: str) -> list[str]:
    """The names that a source defines, fields of records among them."""
    names = []
    for _, sentence in sentences(text):
        if found := re.match(r"(Definition|Fixpoint|Record|Inductive) ([\w']+)", sentence):
            names.append(found[2])
            names += re.findall(r"[{;] ([\w']+) :", sentence) if found[1] == "Record" else []
    return names


def missing_ids(text: str) -> Iterable[str]:
    """Ids without a claim, or without a theorem that says where the claim is true."""
    stated = theorems(text)
    for id_ in IDS:
        claims = set(re.findall(rf"\bDefinition ({id_}(?:_\w+)?_claim)\b", without_comments(text)))
        proved = [s for name, s in stated.items() if name.startswith(f"{id_}_")]
        if not claims:
            yield f"Statements.v: no claim of {id_}"
        for claim in sorted(claims):
            if not any(re.search(rf"\b{claim}\b", sentence) for sentence in proved):
                yield f"Statements.v: no theorem of {id_} says where {claim} is true"


def check_text(texts: dict[str, str]) -> None:
    """Raises what the text alone shows to be wrong."""
    found = [f for name, text in texts.items() for f in findings_in(name, text, texts)]
    found += missing_ids(texts["Statements"])
    if found:
        raise RejectedError("\n".join(found))


# 3: compiling


def run_coq(folder: Path, name: str) -> str:
    """What coqc prints when it compiles `name`.v, as text."""
    command = ["coqc", "-q", "-w", "none", "-Q", ".", "mdtheory", f"{name}.v"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            timeout=TIMEOUT,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise RejectedError(f"{name}.v: takes more than {TIMEOUT} seconds") from None
    if done.returncode:
        raise RejectedError(f"{name}.v does not compile:\n{(done.stderr or done.stdout).strip()}")
    return done.stdout


def layers(texts: dict[str, str]) -> list[list[str]]:
    """The sources in an order in which they can be compiled; those of a layer at once."""
    needs, found = required(texts), []
    while needs:
        ready = [name for name, needed in needs.items() if not needed & set(needs)]
        if not ready:
            raise RejectedError(f"these require each other: {', '.join(f'{n}.v' for n in needs)}")
        found.append(ready)
        needs = {name: needed for name, needed in needs.items() if name not in ready}
    return found


def compile_all(texts: dict[str, str], build: Path) -> None:
    """Compiles into `build`; what is there already, of the same text, is not compiled again."""
    needs = required(texts)
    changed: set[str] = set()
    with ThreadPoolExecutor(2) as pool:
        for layer in layers(texts):
            for name in layer:
                path, compiled = build / f"{name}.v", build / f"{name}.vo"
                same = compiled.exists() and path.read_text(encoding="utf-8") == texts[name]
                if not same or needs[name] & changed:
                    compiled.unlink(missing_ok=True)
                    path.write_text(texts[name], encoding="utf-8")
                    changed.add(name)
            list(pool.map(lambda name: run_coq(build, name), changed & set(layer)))


# 4 and 5: asking Coq


def ask(
    build: Path, questions: dict[str, str], modules: Iterable[str], *options: str
) -> dict[str, str]:
    """Coq's answer to each command, by key.  Our own files are not imported: names are printed in
    full, and no notation of theirs can make something look like something else."""
    lines = [PREAMBLE, f"From mdtheory Require {' '.join(modules)}."]
    lines += ["Set Printing Width 100.", "Unset Printing Implicit Defensive.", *options]
    lines += ["Local Open Scope ring_scope."]
    for key, command in questions.items():
        lines += [f'Goal True. idtac "@@{key}". Abort.', command]
    (build / "Questions.v").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _, *answers = ("\n" + run_coq(build, "Questions")).split("\n@@")
    split = (answer.split("\n", 1) for answer in answers)
    return {key: text.strip() for key, text in split}


def assumptions(groups: dict[str, list[str]], texts: Iterable[str], build: Path) -> dict[str, str]:
    """What Coq says that each group of theorems rests on.  A group takes hardly longer than a
    theorem, as nearly everything that they rest on is the same."""
    questions = {}
    for number, (key, names) in enumerate(groups.items()):
        parts = " ".join(f"let _ := @{name} in" for name in names)
        question = f"Definition group{number} := {parts} tt.\nPrint Assumptions group{number}."
        questions[key] = question
    return ask(build, questions, texts)


def check_assumptions(texts: dict[str, str], build: Path) -> list[str]:
    """The names of all theorems; raises with those of the first file that rest on an axiom."""
    order = [file for layer in layers(texts) for file in layer]
    files = {file: [f"{file}.{name}" for name in theorems(texts[file])] for file in order}
    names = [name for file in files.values() for name in file]
    if assumptions({"all": names}, texts, build)["all"] == CLOSED:
        return names
    by_file = assumptions(files, texts, build)
    file = next(file for file in order if by_file[file] != CLOSED)
    answers = assumptions({name: [name] for name in files[file]}, texts, build)
    found = (f"{name} rests on this:\n{a}" for name, a in answers.items() if a != CLOSED)
    raise RejectedError("\n".join(found))


def printed_statements(texts: dict[str, str], build: Path) -> str:
    """The theorems of Statements.v and every definition of ours that they rest on, by Coq.

    Coq shows `x + y` whatever addition it is: which one stands in a hidden argument.  So each is
    also printed with nothing hidden, for the names in it and for a digest of it.
    """
    reached = [f"Statements.{name}" for name in theorems(texts["Statements"])]
    defined = [f"{file}.{name}" for file, text in texts.items() for name in definitions(text)]
    questions = {name: f"Check @{name}." for name in reached}
    questions |= {name: f"Print {name}." for name in defined}
    shown = ask(build, questions, texts)
    explicit = ask(build, questions, texts, EXPLICITLY)
    ours = re.compile(rf"\b(?:{'|'.join(texts)})\.[A-Za-z_][\w']*")
    blocks = []
    for name in reached:  # which grows meanwhile
        if name not in shown:
            shown |= ask(build, {name: f"Print {name}."}, texts)
            explicit |= ask(build, {name: f"Print {name}."}, texts, EXPLICITLY)
        digest = hashlib.sha256(" ".join(explicit[name].split()).encode()).hexdigest()
        text = shown[name].split("\n\nArguments")[0]
        blocks.append(f"{text}\n(* with nothing hidden: sha256 {digest} *)")
        reached += [n for n in dict.fromkeys(ours.findall(explicit[name])) if n not in reached]
    return INTRODUCTION + "\n\n".join(blocks) + "\n"


def check_statements(printed: str, kept: Path) -> None:
    """Raises where Coq's statements are not those of the file."""
    if not kept.exists():
        raise RejectedError(f"{kept.name} is missing: write it with --write-statements")
    blocks, old = printed.split("\n\n"), kept.read_text(encoding="utf-8").split("\n\n")
    found = [f"Coq says, but {kept.name} does not:\n{b}" for b in blocks if b not in old]
    found += [f"{kept.name} says, but Coq does not:\n{b}" for b in old if b not in blocks]
    if blocks != old:
        found.append(
            "If this is meant, or Coq is of another version than the tested one, write it anew"
            " with --write-statements and look at the difference."
        )
        raise RejectedError("\n".join(found))


# Coq itself


def coq_works() -> bool:
    """Whether coqc and every library that we require are there."""
    if shutil.which("coqc") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Probe.v").write_text(PREAMBLE + "\n", encoding="utf-8")
        try:
            run_coq(Path(folder), "Probe")
        except RejectedError:
            return False
    return True


def install_coq() -> bool:
    """Installs Coq where that is one command: Debian or Ubuntu, as root."""
    if not (shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0):
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        print("Coq or MathComp is missing; running: apt-get", *command, flush=True)
        command = ["apt-get", "--quiet", "--quiet", *command]
        if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode:
            return False
    return coq_works()


MISSING = f"""\
The proofs need Coq and MathComp, which were not found.
Debian, Ubuntu: apt-get install --no-install-recommends {" ".join(PACKAGES)}
opam: opam install coq-mathcomp-algebra coq-mathcomp-algebra-tactics
Tested with Coq 8.16.1 and MathComp 1.15."""


# The gate


def check(sources: Path, build: Path, *, write: bool = False) -> list[str]:
    """All five steps; the names of the theorems.  Raises `RejectedError`."""
    texts = read(sources)
    check_text(texts)
    compile_all(texts, build)
    printed = printed_statements(texts, build)
    if write:
        (sources / "statements.txt").write_text(printed, encoding="utf-8")
    check_statements(printed, sources / "statements.txt")
    return check_assumptions(texts, build)


def main(arguments: list[str] | None = None, build: Path | None = None) -> int:
    """The exit status; `build` is a folder with compiled sources, to be used again."""
    parser = argparse.ArgumentParser(description="Check the Coq development.")
    parser.add_argument("--sources", type=Path, default=SOURCES, help="folder of the .v files")
    parser.add_argument(
        "--write-statements", action="store_true", help="write statements.txt instead of comparing"
    )
    options = parser.parse_args(arguments)
    if not (options.sources / "Statements.v").is_file():
        print(
            f"--sources must be a folder with Statements.v, got {options.sources}", file=sys.stderr
        )
        return 2
    if not coq_works() and not install_coq():
        print(MISSING, file=sys.stderr)
        return 2
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            names = check(options.sources, build or Path(folder), write=options.write_statements)
    except RejectedError as rejected:
        print(f"{rejected}\nThe proofs are rejected.", file=sys.stderr)
        return 1
    for name in names:
        print(f"no axioms: {name}")
    seconds = time.monotonic() - start
    print(f"{len(names)} theorems and lemmas, none rests on an axiom ({seconds:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
