"""The pattern attribute of HTML as a JSON Schema pattern.

HTML compiles it as ``^(?:…)$`` with the flag v; JSON Schema searches with the flag u. Where v refuses a pattern the
browser ignores it, and so does this; what only v can say has no equal and is left out too.
Source: HTML standard, 4.10.5.3.6; ECMA-262, 22.2.1 (ClassSetCharacter).
"""

# In a class with the flag v, these stand for themselves only behind a backslash ...
_CLASS_SYNTAX = frozenset("()[]{}/-\\|")
# ... and these may not stand twice in a row ("&&" and "--" are operators).
_CLASS_DOUBLES = frozenset("&!#$%*+,.:;<=>?@^`~")
# With the flags u and v, a backslash outside a class may stand only before these, or before what it makes special.
_SYNTAX = frozenset("^$\\.*+?()[]{}|/")
_SPECIAL = frozenset("bBdDsSwWfnrtvcxukpP0123456789")
# Escapes that v allows in a class and u does not: the character alone means the same there.
_CLASS_PUNCTUATORS = frozenset("&!#%,:;<=>@`~")


def json_schema_pattern(pattern: str) -> str | None:
    """Return the pattern for JSON Schema, or None where the browser checks nothing or no equal exists."""
    if not pattern:
        return None
    written: list[str] = []
    at = depth = 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\":
            if at + 1 == len(pattern) or pattern[at + 1] not in _SYNTAX | _SPECIAL:
                return None
            written.append(pattern[at : at + 2])
            at += 2
        elif sign == "[":
            end = _class_end(pattern, at)
            if end is None:
                return None
            written.append(_class_for_u(pattern[at:end]))
            at = end
        elif sign in "]}" and not _closes_braces(written, sign):
            return None
        else:
            depth += {"(": 1, ")": -1}.get(sign, 0)
            if depth < 0:
                return None
            written.append(sign)
            at += 1
    return f"^(?:{''.join(written)})$" if depth == 0 else None


def _closes_braces(written: list[str], sign: str) -> bool:
    text = "".join(written)
    return sign == "}" and text.rfind("{") > text.rfind("}")


def _class_end(pattern: str, start: int) -> int | None:
    """Return where the class that begins at ``start`` ends, or None where v refuses it or needs v."""
    at = start + (2 if pattern[start + 1 : start + 2] == "^" else 1)
    previous = ""
    while at < len(pattern):
        sign = pattern[at]
        if sign == "]":
            return at + 1
        if sign == "\\":
            escaped = pattern[at + 1 : at + 2]
            if not escaped or escaped not in _SYNTAX | _SPECIAL | _CLASS_PUNCTUATORS | {"-"}:
                return None
            at, previous = at + 2, "\\"
            continue
        if sign == "-":
            # Fit only between the two ends of a range.
            follows = pattern[at + 1 : at + 2]
            if not previous or previous == "-" or follows in ("", "]", "-"):
                return None
        elif sign in _CLASS_SYNTAX or (sign in _CLASS_DOUBLES and sign == previous):
            return None
        at, previous = at + 1, sign
    return None


def _class_for_u(text: str) -> str:
    written = []
    at = 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1] in _CLASS_PUNCTUATORS:
            written.append(text[at + 1])
            at += 2
        elif text[at] == "\\":
            written.append(text[at : at + 2])
            at += 2
        else:
            written.append(text[at])
            at += 1
    return "".join(written)
