"""Notebooks -> executed pages with verdicts, and an index of them."""

import sys

# jsonschema, which comes with nbformat, would compile three grammars of IRIs with it, which takes longer than all else
# of this room; no notebook is held to one
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
