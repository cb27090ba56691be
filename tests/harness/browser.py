"""Opening a page in a headless browser: what its scripts made of it, and all that went wrong.

opened = browser.open_page(path, tmp_path, drive="go(1);")     drive: statements that run when the page is there
assert opened.problems == []
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needed = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium to open a page")

_PROBE = """<script>
(() => {
  const bad = [], root = document.documentElement;
  const note = text => { bad.push(text); root.dataset.problems = JSON.stringify(bad); };
  addEventListener("error", e => note(e.message || "did not load: " + (e.target.src || e.target.href)), true);
  addEventListener("unhandledrejection", e => note("rejected: " + e.reason));
  for (const kind of ["error", "warn"]) console[kind] = (...said) => note(said.join(" "));
  addEventListener("load", () => {
    try { __DRIVE__ } catch (e) { note("driven: " + e); }
    for (const i of document.images) if (!i.naturalWidth) note("no picture in " + i.alt);
    for (const r of performance.getEntriesByType("resource")) if (!r.name.startsWith("data:")) note("it loads " + r.name);
    const ids = [...document.querySelectorAll("body [id]")].map(e => e.id), seen = new Set();
    for (const a of document.querySelectorAll('a[href^="#"]')) if (!ids.includes(a.hash.slice(1))) note("a link to nowhere: " + a.hash);
    for (const id of ids) { if (seen.has(id) && !document.querySelector("svg #" + CSS.escape(id))) note("twice: id " + id); seen.add(id); }
    root.dataset.opened = "yes";
  });
})();
</script>"""


@dataclass(frozen=True)
class Opened:
    """The document as it was in the end, and what went wrong: errors of scripts and of loading, pictures that do not show, other files
    that it asks for, links to nowhere, ids used twice."""

    dom: str
    problems: list[str]


def open_page(page: Path, tmp_path: Path, drive: str = "") -> Opened:
    """Open a copy of a page. AssertionError when the browser does not come to its end."""
    text = page.read_text(encoding="utf-8")
    probe = _PROBE.replace("__DRIVE__", drive)
    start = re.search(r"<head>|<!doctype html>", text)
    assert start is not None, "not a page"
    copy = tmp_path / f"opened-{page.name}"
    copy.write_text(text[: start.end()] + probe + text[start.end() :], encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000"]
    command = [str(CHROMIUM), *flags, "--dump-dom", copy.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    assert 'data-opened="yes"' in dom, "the page was not loaded to its end"
    found = re.search(r'data-problems="([^"]*)"', dom)
    return Opened(dom, json.loads(html.unescape(found[1])) if found else [])
