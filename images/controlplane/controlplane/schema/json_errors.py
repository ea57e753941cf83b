"""What Go says of a text that is no JSON, told from what Python says (Go, encoding/json, scanner.go and errors.go)."""

from __future__ import annotations

from json import JSONDecodeError

UNEXPECTED_END = "unexpected end of JSON input"
_PLACES = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
    "Invalid \\uXXXX escape": "in \\u hexadecimal character escape",
}
_LITERALS = {"t": "true", "f": "false", "n": "null"}


def describe_json_error(error: JSONDecodeError) -> str:
    """The reason; of a kind that Go has no word for it is Python's."""
    rest = error.doc[error.pos :].lstrip(" \t\r\n")
    if error.msg.startswith("Illegal trailing comma"):
        rest = rest.removeprefix(",").lstrip(" \t\r\n")
    if not rest or error.msg.startswith("Unterminated string"):
        return UNEXPECTED_END
    if error.msg == "Expecting value" and (literal := _LITERALS.get(rest[0])):
        return _describe_literal(literal, rest)
    place = _PLACES.get(error.msg)
    if place is None:
        return str(error)
    if error.msg == "Expecting ',' delimiter" and _is_in_list(error.doc[: error.pos]):
        place = "after array element"
    return f"invalid character {_quote(rest[0])} {place}"


def _describe_literal(literal: str, rest: str) -> str:
    """`rest` begins as the literal does and goes on in another way."""
    for wanted, char in zip(literal, rest, strict=False):
        if char != wanted:
            return f"invalid character {_quote(char)} in literal {literal} (expecting {_quote(wanted)})"
    return UNEXPECTED_END


def _is_in_list(before: str) -> bool:
    """Whether the innermost bracket that is open is a list's; brackets in texts do not count."""
    open_brackets: list[str] = []
    in_text = is_escaped = False
    for char in before:
        if in_text:
            in_text = is_escaped or char != '"'
            is_escaped = char == "\\" and not is_escaped
        elif char == '"':
            in_text = True
        elif char in "[{":
            open_brackets.append(char)
        elif char in "]}" and open_brackets:
            open_brackets.pop()
    return bool(open_brackets) and open_brackets[-1] == "["


def _quote(char: str) -> str:
    return {"'": "'\\''", '"': "'\"'", "\n": "'\\n'", "\t": "'\\t'", "\r": "'\\r'"}.get(char, f"'{char}'")
