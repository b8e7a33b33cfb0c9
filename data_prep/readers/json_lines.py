"""JSON lines: every line is an object, and one of its fields holds the text of a document."""

import json
import re
from collections.abc import Iterator
from typing import Any

from data_prep.readers.bad_records import BadRecords, UnreadableFile
from data_prep.readers.documents import Document, record_documents
from data_prep.readers.lines import LinePart, read_lines
from data_prep.readers.sources import Source

# A line is parsed as a whole, which takes about four times its size. Ten copies of 红楼梦 have room in so much.
LONGEST_LINE = 64 << 20
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_json_lines(source: Source, bad: BadRecords, text_field: str) -> Iterator[Document]:
    """The documents of a file of JSON lines.

    Raises:
        UnreadableFile: it cannot be read, or not to its end; the documents before that have been handed out.
    """
    for lines in read_lines(source, bad, LONGEST_LINE):
        if isinstance(lines, LinePart):
            if lines.last:
                bad.add(f"{source}:{lines.number}", f"longer than {LONGEST_LINE >> 20} MB", remedy="split the record")
            continue
        for number, line in enumerate(lines.texts, start=lines.first):
            if number == 1:
                _refuse_array(line)
            if line and not line.isspace():
                where = f"{source.url}:{number}"
                text = _text_of(line, where, bad, text_field)
                if text is not None:
                    yield from record_documents(text, where, bad)


def _refuse_array(first_line: str) -> None:
    if first_line.lstrip().startswith("["):
        raise UnreadableFile(
            "a JSON array, not JSON lines", "one object a line is needed", "convert it: jq -c '.[]' FILE > NEW.jsonl"
        )


def _text_of(line: str, where: str, bad: BadRecords, text_field: str) -> str | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        bad.add(where, "not valid JSON", str(error), "mend or remove the line")
        return None
    if not isinstance(record, dict):
        bad.add(where, "not a JSON object", remedy="mend or remove the line")
    elif text_field not in record:
        bad.add(where, f"no field {text_field!r}", _fields(record), "name another with --text_field, or mend the line")
    elif not isinstance(text := record[text_field], str):
        bad.add(where, f"field {text_field!r} is not a string", f"it is {text!r:.40}", "mend or remove the line")
    elif "\\u" in line and _SURROGATE.search(text):
        bad.add(where, f"field {text_field!r} holds half of a surrogate pair", remedy="mend or remove the line")
    else:
        return text
    return None


def _fields(record: dict[str, Any]) -> str:
    if not record:
        return "it is empty"
    return f"it has {', '.join(map(repr, list(record)[:10]))}; name another with --text_field"
