"""Looking at a tree: its history as a page, its bytes as flows, its costs in words."""

from .explain import explain
from .explain_run import explain_run
from .flows import flows
from .heat import Heat
from .tree_page import write_page

__all__ = ["Heat", "explain", "explain_run", "flows", "write_page"]
