"""`lsmlab bench text`: the full-text index beside SQLite FTS5, tantivy and bm25s on text that the machine has, in one run.

The corpus: the documentation strings of the installed Python library, the manual pages found, the descriptions of packages; where there is
little of these, generated Zipf text. Every library indexes the same strings with positions; queries of each type are drawn from the corpus
by how many documents have their terms, and every library answers all of them, top 10 by BM25. Processor time for indexing, wall time for
queries: the least of several passes, by turns.
"""

from __future__ import annotations

import ast
import gzip
import importlib.util
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from indexes import text

from .processes import version

US, FTS5, TANTIVY, BM25S = "lsmlab", "sqlite fts5", "tantivy", "bm25s"
TYPES = (
    "1 term, high df",
    "1 term, middle",
    "1 term, low",
    "2 terms, or",
    "3 terms, or",
    "2 terms, and",
    "3 terms, and",
    "phrase of 2",
    "phrase of 3",
    "prefix of 4",
    "near",
    "fuzzy",
)
LEAST_MB_PER_SECOND, LEAST_SPEEDUP, MOST_VISIBLE_US, MOST_SIZE = 20.0, 5.0, 100.0, 0.55
_ROFF = re.compile(r"^[.'].*$|\\f.|\\[-&|^]|\\\(..|\\\*\[[^]]*\]", re.M)


def docstrings() -> Iterator[str]:
    """The documentation strings of the installed Python library, read, not imported."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (found := ast.get_docstring(node)):
                yield found


def manual_files() -> list[Path]:
    """The files of the manual pages found."""
    return sorted(Path("/usr/share/man").glob("man*/*"))


def manual_source(path: Path) -> str:
    """A manual page with its markup; empty when it cannot be read."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError):
        return ""
    return raw.decode(errors="replace")


def without_markup(part: str) -> str:
    """The words of a stretch of a manual page."""
    return _ROFF.sub(" ", part)


def manual_pages() -> Iterator[str]:
    """The manual pages found, by sections, without their markup."""
    for path in manual_files():
        for part in re.split(r"^\.SH ", manual_source(path), flags=re.M):
            yield without_markup(part)


def package_descriptions() -> Iterator[str]:
    """What the package manager says of the packages that it knows."""
    for command in (["apt-cache", "dumpavail"], ["dpkg-query", "-W", "-f", "Package: ${Package}\nDescription: ${Description}\n\n"]):
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, check=False).stdout.decode(errors="replace")
            for part in done.split("\n\n"):
                if found := re.search(r"^Description(?:-en)?: (.*(?:\n .*)*)", part, re.M):
                    yield f"{part.partition(chr(10))[0]} {found[1]}"


def zipf_text(seed: int) -> Iterator[str]:
    """Made-up text without end."""
    rng = np.random.default_rng(seed)
    while True:
        yield " ".join(f"w{i}" for i in rng.zipf(1.2, rng.integers(5, 120)) % 50_000)


def corpus(megabytes: float, seed: int) -> tuple[list[str], str]:
    """Documents of about so many megabytes, in random order, and what they are."""
    found: dict[str, list[str]] = {"documentation strings": [], "manual pages": [], "package descriptions": []}
    for name, source in zip(found, (docstrings, manual_pages, package_descriptions), strict=True):
        found[name] = [one for one in dict.fromkeys(source()) if one.strip()]
    documents = [one for some in found.values() for one in some]
    random.Random(seed).shuffle(documents)
    names = [f"{len(some):,} {name}" for name, some in found.items() if some]
    kept, size, limit = [], 0, megabytes * 1e6
    made = zipf_text(seed)
    while size < limit and documents:
        kept.append(documents.pop())
        size += len(kept[-1].encode())
    if size < min(limit, 1e6):
        names.append("generated Zipf text")
    while size < min(limit, 1e6):
        kept.append(next(made))
        size += len(kept[-1])
    return kept, ", ".join(names)


@dataclass(frozen=True)
class Ask:
    """A query: its type and words."""

    kind: str
    words: tuple[str, ...]


def draw(documents: Sequence[str], each: int, seed: int) -> list[Ask]:
    """Queries of every type from the documents, by how many have their terms."""
    rng = random.Random(seed)
    analyzer = text.Analyzer()
    sample = [[term.decode() for term in analyzer.terms(one) if term] for one in rng.sample(documents, min(len(documents), 4000))]
    df: dict[str, int] = {}
    for terms in sample:
        for term in set(terms):
            if term.isascii() and term.isalpha() and len(term) > 2:
                df[term] = df.get(term, 0) + 1
    ordered = sorted(df, key=lambda term: (-df[term], term))
    high, middle = ordered[5:40], ordered[150:600]
    low = [term for term in ordered if df[term] <= 2] or ordered[-50:]
    asks = []
    for kind in TYPES:
        for _ in range(each):
            n = int(kind[-1]) if kind.startswith(("phrase", "prefix")) else int(kind[0]) if kind[0].isdigit() else 2
            if kind.startswith("1"):
                words = [rng.choice(high if "high" in kind else middle if "middle" in kind else low)]
            elif kind[0].isdigit():
                words = [rng.choice(high), *rng.sample(high[10:] + middle, n - 1)]
            elif kind.startswith("phrase"):
                terms = rng.choice([one for one in sample if len(one) > n])
                at = rng.randrange(len(terms) - n)
                words = terms[at : at + n]
            elif kind == "near":
                words = rng.sample(high, 2)
            else:
                word = rng.choice([term for term in middle if len(term) > 5] or middle)
                words = [word[:4]] if kind.startswith("prefix") else [word[:3] + word[4:]]
            asks.append(Ask(kind, tuple(words)))
    return asks


class Library(Protocol):
    """A full-text library under test."""

    bytes: int | None

    def build(self, documents: Sequence[str]) -> None:
        """Index the documents, number i as row i."""

    def prepare(self, ask: Ask) -> Callable[[], Any] | None:
        """What answers the query, ready to be called; None when the library has no such query."""


class Ours:
    """This package."""

    bytes: int | None = None

    def build(self, documents: Sequence[str]) -> None:
        segment = text.build(np.arange(len(documents), dtype=np.uint64), documents)
        self.bytes = len(segment)
        self.view = text.open(segment)
        self.searcher = text.TextSearcher([self.view])

    def prepare(self, ask: Ask) -> Callable[[], Any] | None:
        query = self.query(ask)
        return lambda: self.searcher.search(query, 10)

    @staticmethod
    def query(ask: Ask) -> str:
        """The query string."""
        if ask.kind.endswith("and"):
            return " ".join(f"+{word}" for word in ask.words)
        if ask.kind.startswith("phrase"):
            return f'"{" ".join(ask.words)}"'
        if ask.kind == "near":
            return f"{ask.words[0]} NEAR/5 {ask.words[1]}"
        return ask.words[0] + {"prefix of 4": "*", "fuzzy": "~1"}[ask.kind] if ask.kind in ("prefix of 4", "fuzzy") else " ".join(ask.words)


class Fts5:
    """SQLite's, without stored text, optimised into one tree after the load, in memory."""

    bytes: int | None = None

    def build(self, documents: Sequence[str]) -> None:
        self.con = sqlite3.connect(":memory:")
        self.con.execute("create virtual table t using fts5(x, content='', tokenize='unicode61 remove_diacritics 0')")
        self.con.executemany("insert into t(rowid, x) values (?, ?)", enumerate(documents))
        self.con.execute("insert into t(t) values ('optimize')")
        self.con.commit()
        self.bytes = self.con.execute("select sum(length(block)) from t_data").fetchone()[0]

    def prepare(self, ask: Ask) -> Callable[[], Any] | None:
        quoted = [f'"{word}"' for word in ask.words]
        match ask.kind.split()[0]:
            case "fuzzy":
                return None
            case "near":
                query = f"NEAR({' '.join(quoted)}, 5)"
            case "prefix":
                query = f"{quoted[0]}*"
            case "phrase":
                query = f'"{" ".join(ask.words)}"'
            case _:
                query = (" AND " if ask.kind.endswith("and") else " OR ").join(quoted)
        return lambda: self.con.execute("select rowid, rank from t where t match ? order by rank limit 10", (query,)).fetchall()


class Tantivy:
    """Tantivy with one writing thread, documents not stored."""

    bytes: int | None = None

    def build(self, documents: Sequence[str]) -> None:
        import tantivy

        self.lib = tantivy
        self.schema = tantivy.SchemaBuilder().add_text_field("x", tokenizer_name="default").build()
        self.index = tantivy.Index(self.schema)
        writer = self.index.writer(200_000_000, 1)
        for one in documents:
            writer.add_document(tantivy.Document(x=one))
        writer.commit()
        writer.wait_merging_threads()
        self.index.reload()
        self.searcher = self.index.searcher()

    def prepare(self, ask: Ask) -> Callable[[], Any] | None:
        terms = [self.lib.Query.term_query(self.schema, "x", word) for word in ask.words]
        match ask.kind.split()[0]:
            case "near":
                return None
            case "fuzzy":
                query = self.lib.Query.fuzzy_term_query(self.schema, "x", ask.words[0], distance=1, transposition_cost_one=False)
            case "prefix":
                query = self.lib.Query.regex_query(self.schema, "x", f"{ask.words[0]}.*")
            case "phrase":
                query = self.lib.Query.phrase_query(self.schema, "x", list(ask.words))
            case "1":
                query = terms[0]
            case _:
                must = self.lib.Occur.Must if ask.kind.endswith("and") else self.lib.Occur.Should
                query = self.lib.Query.boolean_query([(must, term) for term in terms])
        return lambda: self.searcher.search(query, 10, count=False).hits


class Bm25s:
    """bm25s with its numpy backend: scores are made at indexing, positions are not kept."""

    bytes: int | None = None

    def build(self, documents: Sequence[str]) -> None:
        import bm25s

        analyzer = text.Analyzer()
        self.index = bm25s.BM25()
        self.index.index([[term.decode() for term in analyzer.terms(one) if term] for one in documents], show_progress=False)

    def prepare(self, ask: Ask) -> Callable[[], Any] | None:
        words = [word for word in ask.words if word in self.index.vocab_dict]
        if not ask.kind.startswith(("1", "2 terms, or", "3 terms, or")) or not words:
            return None
        return lambda: self.index.retrieve([words], k=10, show_progress=False)


LIBRARIES: dict[str, Callable[[], Library]] = {US: Ours, FTS5: Fts5, TANTIVY: Tantivy, BM25S: Bm25s}


@dataclass
class Result:
    """Measures by library: seconds of the processor to index, bytes, microseconds by type of query, of a replacement until it is seen."""

    megabytes: float
    seed: int
    repeats: int
    documents: int = 0
    size: int = 0
    sources: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int | None] = field(default_factory=dict)
    queries: dict[str, dict[str, float]] = field(default_factory=dict)
    visible: dict[str, float] = field(default_factory=dict)

    def verdicts(self) -> list[dict[str, Any]]:
        """Each target with what was reached."""
        rate = self.size / 1e6 / self.seconds[US]
        rows = [("index, MB per processor second", "≥", LEAST_MB_PER_SECOND, rate, rate >= LEAST_MB_PER_SECOND)]
        share = (self.bytes[US] or 0) / self.size
        rows.append(("bytes of index a byte of text", "≤", MOST_SIZE, share, share <= MOST_SIZE))
        for kind in TYPES:
            if kind in self.queries.get(FTS5, {}):
                faster = self.queries[FTS5][kind] / self.queries[US][kind]
                rows.append((f"{kind}: times as fast as {FTS5}", "≥", LEAST_SPEEDUP, faster, faster >= LEAST_SPEEDUP))
        rows.append(("replaced document seen, us", "≤", MOST_VISIBLE_US, self.visible[US], self.visible[US] <= MOST_VISIBLE_US))
        return [dict(zip(("what", "sign", "target", "got", "pass"), row, strict=True)) for row in rows]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {**asdict(self), "targets": self.verdicts()}


def _passes(run: Callable[[], Any], least: float = 2e-3) -> float:
    """Seconds of one call, from as many as fill the least time."""
    n, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < least:
        run()
        n += 1
    return spent / n


def _visible_ours(library: Ours, documents: Sequence[str], rounds: int) -> float:
    """Median microseconds from handing over a changed document to having it found by the word that is new in it."""
    memory = text.TextMemory()
    searcher = text.TextSearcher([library.view], memory=memory)
    taken = []
    for i in range(rounds):
        value = f"{documents[i]} freshword{i}"
        start = time.perf_counter()
        memory.insert(i, value)
        found = searcher.match(f"freshword{i}")
        taken.append(time.perf_counter() - start)
        if found.tolist() != [i]:
            raise AssertionError(f"document {i} is not visible")
    return 1e6 * statistics.median(taken)


def _visible_fts5(documents: Sequence[str], rounds: int) -> float:
    con = sqlite3.connect(":memory:")
    con.execute("create virtual table t using fts5(x, tokenize='unicode61 remove_diacritics 0')")
    con.executemany("insert into t(rowid, x) values (?, ?)", enumerate(documents))
    con.commit()
    taken = []
    for i in range(rounds):
        start = time.perf_counter()
        con.execute("update t set x = ? where rowid = ?", (f"{documents[i]} freshword{i}", i))
        con.commit()
        con.execute("select rowid from t where t match ?", (f"freshword{i}",)).fetchall()
        taken.append(time.perf_counter() - start)
    return 1e6 * statistics.median(taken)


def bench(result: Result, told: Callable[[str], None]) -> Result:
    """Run everything into an empty result; `told` hears what is about to run."""
    told("reading the corpus")
    documents, result.sources = corpus(result.megabytes, result.seed)
    result.documents, result.size = len(documents), sum(len(one.encode()) for one in documents)
    asks = draw(documents, 5, result.seed)
    libraries: dict[str, Library] = {}
    for name, make in LIBRARIES.items():
        if name not in (US, FTS5) and importlib.util.find_spec(name) is None:
            result.missing.append(name)
            continue
        result.versions[name] = sqlite3.sqlite_version if name == FTS5 else version(name)
        for _ in range(result.repeats if name == US else 1):
            told(f"indexing with {name}")
            libraries[name] = library = make()
            start = time.process_time()
            library.build(documents)
            seconds = time.process_time() - start
            result.seconds[name] = min(seconds, result.seconds.get(name, seconds))
        result.bytes[name] = library.bytes
    ready = {name: [(ask.kind, run) for ask in asks if (run := library.prepare(ask))] for name, library in libraries.items()}
    ours, rounds = libraries[US], min(300, len(documents))
    assert isinstance(ours, Ours)
    best: dict[str, list[float]] = {name: [float("inf")] * len(some) for name, some in ready.items()}
    for repeat in range(result.repeats):
        for name, some in ready.items():
            told(f"queries of {name}, pass {repeat + 1} of {result.repeats}")
            for i, (_, run) in enumerate(some):
                best[name][i] = min(best[name][i], _passes(run))
        told(f"replacing documents, pass {repeat + 1} of {result.repeats}")
        for name, seen in ((US, _visible_ours(ours, documents, rounds)), (FTS5, _visible_fts5(documents, rounds))):
            result.visible[name] = min(seen, result.visible.get(name, seen))
    for name, some in ready.items():
        by_type: dict[str, list[float]] = {}
        for (kind, _), seconds in zip(some, best[name], strict=True):
            by_type.setdefault(kind, []).append(1e6 * seconds)
        result.queries[name] = {kind: statistics.mean(times) for kind, times in by_type.items()}
    return result
