"""``python -m data_prep verify DIR``: is a prepared corpus what it says it is, to the last bit?

Every checksum and every rule of ``docs/prepared-corpus.md`` is checked; what fails is told with its shard, its document
(counted from 0 in the shard) and its token. Exit status 0: the corpus is good; 1: it is damaged; 2: there is none.
"""

import argparse
import time
from pathlib import Path

from chinesebert.corpus.verification import Rule, Verification, verify_corpus
from chinesebert.errors import InputError
from data_prep.wording import counted

DAMAGED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``data_prep verify``."""
    parser.add_argument("directory", metavar="DIR", help="a prepared corpus")
    parser.add_argument("--limit", type=int, default=10, help="failures of each rule to print; the rest are counted")


def run(args: argparse.Namespace) -> int:
    """Checks the corpus, prints what is wrong, and returns the exit status: 0 for a good one, 1 for a damaged one."""
    from tqdm import tqdm

    if args.limit < 1:
        raise InputError(f"--limit {args.limit}: give at least 1")
    started = time.monotonic()
    try:
        size = sum(path.stat().st_size for path in Path(args.directory).glob("*.arrow"))
        with tqdm(desc="verifying", total=2 * size, unit="B", unit_scale=True, disable=None) as progress:
            verification = verify_corpus(args.directory, args.limit, progress.update)
    except OSError as error:
        raise InputError(f"{error.filename or args.directory}: cannot be read ({error.strerror or error})") from error
    print_failures(verification)
    print(summary(args.directory, verification, time.monotonic() - started))
    return 0 if verification.is_good else DAMAGED


def print_failures(verification: Verification) -> None:
    """One line a failure; then how many more there are, and what could not be checked."""
    findings = verification.findings
    for failure in findings.failures:
        print(failure)
    for rule, count in sorted(findings.counts.items()):
        if count > findings.limit:
            print(f"… and {count - findings.limit:,} more of rule {rule.value}, {rule.title}")
    for rules in verification.unchecked:
        print(f"not checked: {rules}")


def summary(directory: str, verification: Verification, seconds: float) -> str:
    """The last line: what was checked, and what that came to."""
    counts = verification.counts
    read = (
        f"{counted(verification.shards, 'shard')}, {counted(counts.documents, 'document')}, "
        f"{counted(counts.tokens, 'token')} in {seconds:.1f} s"
    )
    if verification.is_good:
        return f"{directory}: OK, every checksum and all {len(Rule)} rules hold; {read}"
    rules = verification.findings.counts
    failures = counted(sum(rules.values()), "failure")
    return (
        f"{directory}: DAMAGED, {failures} of {len(rules)} rule{'s' if len(rules) > 1 else ''}; {read}; "
        "copy the files again, or prepare the text again"
    )
