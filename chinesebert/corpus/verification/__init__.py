"""Checks a prepared corpus: ``verify_corpus`` reads all of it and names what breaks a rule of the format.

``rules`` numbers them → ``manifest`` (file names, tokenizer) → ``shard`` (checksums, ``damage``) → ``records``
(documents and tokens, ``readings``, ``places``) → ``corpus`` (all together, and the totals).
"""

from chinesebert.corpus.verification.corpus import Verification, verify_corpus
from chinesebert.corpus.verification.rules import Failure, Findings, Rule

__all__ = ["Failure", "Findings", "Rule", "Verification", "verify_corpus"]
