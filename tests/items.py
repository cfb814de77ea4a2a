"""Items as texts of JSON, good and bad: tables of telling values, and strategies that mix them."""

import json
from collections.abc import Iterator

from hypothesis import strategies as st
from tests.oracle import TABLE

FIELD_TYPES = {field["field"]: field["type"] for field in TABLE}
REQUIRED = tuple(field["field"] for field in TABLE if field["required"] == "yes")
BOUNDS = {field["field"]: int(field["max_length"]) for field in TABLE if field["max_length"]}

INTEGERS = ("0", "-0", "1", "-1", "5", "2147483647", "-2147483648")
NUMBERS = (
    "2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "18446744073709555713",
    "9007199254740993", "1.0", "-1.0", "1e2", "1E+2", "1e0", "5.000", "-0.0", "0e0", "1e-400", "-1e-400", "5e-324",
    "2.4703282292062327e-324", "2.4703282292062328e-324", "2.2250738585072011e-308", "1.7976931348623157e308",
    "1.7976931348623158e308", "-1.7976931348623157e308", "0.1", "3.141592653589793238462643383279502884197169",
    "1.00000000000000011102230246251565404236316680908203125",
    f"1.00000000000000011102230246251565404236316680908203125{'0' * 900}1",
    f"0.{'0' * 5000}1", f"1{'0' * 308}", f"1.{'0' * 5000}", f"{'1' * 300}.{'1' * 4200}", f"{'1' * 300}.{'1' * 5200}",
)  # fmt: skip
TOO_LARGE_NUMBERS = (
    "1e999", "-1e999", "1.7976931348623159e308", "1e400", f"1{'0' * 309}", f"1{'0' * 400}", f"-1{'0' * 400}",
    "1" * 4300, "1" * 4301, f"-{'9' * 5000}", "7" * 20_000, f"{'1' * 5000}.5", f"{'1' * 5000}e5",
)  # fmt: skip
WORDS = ("true", "false", "null")
CONTAINERS = ("[]", "{}", "[1]", '{"a": 1}', '["2026-01-01"]', "[[[[]]]]")

DATE_TIMES = (
    # good ones
    "2026-02-28", "0001-01-01", "9999-12-31", "2024-02-29", "2000-02-29", "2026-02-28T23:59", "2026-02-28T23:59:59",
    "2026-02-28T23:59:59Z", "2026-02-28t23:59:59z", "2026-02-28 23:59:59z", "2026-02-28 23:59:59", "2026-02-28T23:59Z",
    "2026-02-28T23:59:59+02:00", "2026-02-28T23:59:59-0330", "2026-02-28T23:59:59+05", "2026-02-28T23:59:59-00:00",
    "2026-02-28T23:59:59+23:59", "2026-02-28T23:59:59-23:59", "2026-02-28T00:00+00", "1582-10-10T00:00:00Z",
    *(f"2026-02-28T23:59:59.{'123456789012'[:count]}Z" for count in range(1, 13)),
    "2026-02-28T23:59:59.999999999999Z", "2026-02-28T23:59:59,5", "2026-02-28T23:59:59,123456789+01:00",
    "2026-02-28T24:00", "2026-02-28T24:00:00", "2026-12-31T24:00:00.000Z", "2026-02-28T24:00:00,0000000+02:00",
    "9999-12-31T24:00:00+01:00", "2024-02-28T24:00-00:30",
    "2016-12-31T23:59:60Z", "2016-12-31T23:59:60", "1998-12-31T15:59:60.123-08:00", "2015-07-01T00:59:60+01:00",
    "1972-06-30T23:59:60z", "2017-01-01T05:29:60+05:30", "0001-01-01T00:59:60+01:00", "2016-12-31T23:59:60,9999999Z",
    "2026-02-28 23:59:59 +0100", "2026-02-28 23:59:59 UTC", "2026-02-28 23:59:59.123456789 -03:30",
    "2026-02-28T23:59 +01",
    "2026-02-28T23:59:59+00:53:28", "2026-02-28T23:59:59-005328", "2026-02-28 23:59:59.0 +01:00:00",
    "2026-02-28T23:59:59+05:30:00", "2026-02-28T23:59:59Z[UTC]", "2026-02-28T23:59:59.123+01:00[Europe/Berlin]",
    "2026-02-28T23:59+01:00[Europe/Berlin][u-ca=gregory]", "2026-02-28T24:00:00 +0100", "2016-12-31T23:59:60 UTC",
    "9999-12-31T23:59:59.9999999", "9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.9999999+00:00",
    "9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00.0000001",
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00-23:59", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59+23:59",
    # and bad ones
    "", " ", "0", "yesterday", "1735689600", "now", "2026", "2026-02", "20260228", "2026-W09-6", "2026-059",
    "2026-2-28", "26-02-28", "12026-02-28", "+2026-02-28", "-2026-02-28", "+002026-02-28", "2026/02/28", "28.02.2026",
    "2026-02-29", "2026-02-30", "2100-02-29", "2026-04-31", "2026-00-01", "2026-13-01", "2026-01-00", "2026-01-32",
    "0000-01-01", "0000-01-01T00:00:00Z", "0000-12-31T23:59:59-01:00", "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01", "9999-12-31T24:00:00Z", "9999-12-31T24:00", "9999-12-31T23:59:60Z", "10000-01-01",
    "2026-02-28T", "2026-02-28T23", "2026-02-28T23Z", "2026-02-28T2359", "2026-02-28T235959Z", "2026-02-28T23:5",
    "2026-02-28T23:59:5", "2026-02-28T23:59:", "2026-02-28T23:59:59.", "2026-02-28T23:59:59.Z", "2026-02-28T23:59.5",
    "2026-02-28T23:60", "2026-02-28T23:59:61Z", "2026-02-28T25:00", "2026-02-28T24:00:01", "2026-02-28T24:01",
    "2026-02-28T24:00:00.0000001", "2026-02-28T24:00:60", "2026-06-30T23:58:60Z", "2026-06-30T22:59:60Z",
    "2026-06-29T23:59:60Z", "2026-06-30T23:59:60+01:00", "2026-06-30T00:00:60Z", "2026-06-30T12:00:60",
    "2026-02-28T23:59:59+24:00", "2026-02-28T23:59:59+05:60", "2026-02-28T23:59:59-0575", "2026-02-28T23:59:59+5",
    "2026-02-28T23:59:59+050", "2026-02-28T23:59:59+05:", "2026-02-28T23:59:59+05:3",
    "2026-02-28T23:59:59+05:30:60", "2026-02-28T23:59:59+05:3000", "2026-02-28T23:59:59+0530:00",
    "2026-02-28 23:59:59 utc",
    "2026-02-28T23:59:59+05:30:00.5", "2026-02-28 23:59:59 GMT", "2026-02-28 23:59:59  +0100", "2026-02-28 UTC",
    "2026-02-28T23:59:59[UTC]", "2026-02-28T23:59:59Z[!UTC]", "2026-02-28T23:59:59Z[]", "2026-02-28T23:59:59Z[a",
    "2026-02-28[UTC]", "2026-02-28T23:59:59Z[a b]", "9999-12-31T23:59:59.9999999-01:00", "2026-02-28T23:59:59 CET",
    "2026-02-28T23:59:59+-05:00", "2026-02-28T23:59:59 Z", "2026-02-28T23:59:59ZZ", "2026-02-28T23:59:59Z+01:00",
    "2026-02-28Z", "2026-02-28+01:00", "2026-02-28  23:59:59", "2026-02-28_23:59:59", "2026-02-28TT23:59",
    "2026-02-28T-1:00",
    " 2026-02-28", "2026-02-28 ", "2026-02-28\n", "2026-02-28T23:59:59Z\n", "\t2026-02-28", "2026-02-28T23:59:59UTC",
    "٢٠٢٦-02-28", "2026-02-28T２３:59", "2026‐02‐28", "2026-02-28T23:59:59−01:00", "2026-02-28ſ23:59",
    "2026-02-28T23:59:59ｚ",
    "2026-02-28T23:59:59\0", "2026\0-02-28", "1e3", "NaN", "null",
)  # fmt: skip

TEXTS = (
    '""', '" "', '"5"', '"1.5"', '"true"', '"null"', r'"\u0041"', r'"\u0000"', r'"a\u0000"', r'"\ud800"', r'"\udfff"',
    r'"\uD83D\uDE00"', r'"\ude00\ud83d"', r'"\ud83d\ud83d\ude00"', r'"\ud800\u0000"', r'"\\u0000"', r'"\\\u0000"',
    r'"\\ud800"', r'"\\\ud800"', r'"\"\\\/\b\f\n\r\t"', '"\x7f"', r'"\u007f\u0080\uffff\ufffe"', '"\uffff"',
    '"\U0010ffff"', '"😀"', '"é"', '"e\u0301"', '"%s"', '"%(x)s :x {} $1"', "\"'; --\"", '"\u2028\u2029"', '"\ufeff"',
    r'"\u00e9"', '"[[[[{{{{"', r'"\"]}"',
)  # fmt: skip

UNITS = ("a", "é", "😀", "e\u0301", "👩‍👩‍👧", "\uffff", '"', "\\", "\n")


def quoted(text: str, escaped: bool = False) -> str:
    """A text as JSON, with escapes for what is not ASCII or without."""
    return json.dumps(text, ensure_ascii=escaped)


def of_length(characters: int) -> Iterator[str]:
    """Texts of exactly so many characters."""
    for unit in UNITS:
        text = (unit * characters)[:characters]
        yield quoted(text)
        yield quoted(text, escaped=True)


def around_the_bound(field: str) -> list[str]:
    """Texts of a character less than a string field takes, as many, one more and far more."""
    bound = BOUNDS.get(field, 8)
    return [text for length in (bound - 1, bound, bound + 1, 5 * bound) for text in of_length(length)]


def nested(levels: int, kind: int = 0) -> str:
    """A value of so many containers in one another."""
    opening, closing = (("[", "]"), ('{"case_Key":', "}"), ('["]]", ', "]"))[kind]
    return opening * levels + "1" + closing * levels


DEEP = tuple(nested(levels, kind) for levels in (1, 98, 99, 100, 101, 199, 200, 201, 400) for kind in range(3))
VALUES = (
    *INTEGERS, *NUMBERS, *TOO_LARGE_NUMBERS, *WORDS, *CONTAINERS, *TEXTS,
    *(quoted(text) for text in DATE_TIMES),
)  # fmt: skip

Members = list[tuple[str, str]]
"""Members of an object in order: names as they are, values as JSON."""


def base(**values: str) -> Members:
    """The members of a valid case; `values` replace or add some."""
    return list({"case_Key": "1", "carePlan_Key": "5", "do_Not_Contact": "false", **values}.items())


def an_object(members: Members) -> str:
    """Members as JSON."""
    return "{" + ", ".join(f"{quoted(name)}: {value}" for name, value in members) + "}"


def _texts(bound: int) -> st.SearchStrategy[str]:
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.builds(quoted, st.text(characters, max_size=bound), st.booleans())


def _good(field: str) -> st.SearchStrategy[str]:
    """Values that a field takes."""
    good = {
        "int32": st.integers(-(2**31), 2**31 - 1).map(str) | st.sampled_from(INTEGERS),
        "double": st.sampled_from(INTEGERS + NUMBERS) | st.floats(allow_nan=False, allow_infinity=False).map(repr),
        "boolean": st.sampled_from(WORDS[:2]),
        "date-time": st.builds(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{}".format,
            *(st.integers(low, high) for low, high in ((2, 9998), (1, 12), (1, 28), (0, 23), (0, 59), (0, 59))),
            st.just("") | st.from_regex("[.,][0-9]{1,12}", fullmatch=True, alphabet=st.characters(codec="ascii")),
            st.sampled_from(("", "Z", "z", "+14:00", "-0930", "+05", "-00:00", "-23:59")),
        ).map(quoted),
        "string": _texts(BOUNDS.get(field, 0)),
    }
    return good[FIELD_TYPES[field]]


def _bad(field: str) -> st.SearchStrategy[str]:
    """Values of every kind, most of which a field does not take."""
    return st.one_of(
        st.sampled_from(VALUES),
        st.sampled_from(around_the_bound(field)),
        st.sampled_from(DEEP),
        st.integers().map(str),
        st.text("0123456789-:TtZz+., ", max_size=30).map(quoted),
    )


FIELDS = tuple(FIELD_TYPES)
UNKNOWN = (
    "",
    "x",
    "CASE_KEY",
    "case_key",
    "case_Key ",
    "caseKey",
    "case_Key\0",
    "\0",
    "ingest_version",
    "__proto__",
    "😀",
)


@st.composite
def good_members(draw: st.DrawFn, key: int | None = None) -> Members:
    """The members of a valid case, any of the optional ones among them, in any order."""
    optional = draw(st.sets(st.sampled_from([field for field in FIELDS if field not in REQUIRED])))
    members = [(field, draw(_good(field))) for field in (*REQUIRED, *sorted(optional))]
    if key is not None:
        members[0] = ("case_Key", str(key))
    return draw(st.permutations(members))


@st.composite
def changed_members(draw: st.DrawFn) -> Members:
    """The members of a case with a few changes: bad, missing, doubled and unknown ones."""
    members = draw(good_members())
    for change in draw(st.lists(st.sampled_from(("replace", "remove", "before", "after", "unknown")), max_size=4)):
        place = draw(st.integers(0, len(members) - 1)) if members else 0
        name = draw(st.sampled_from(FIELDS))
        match change:
            case "replace":
                members = [one for one in members if one[0] != name] + [(name, draw(_bad(name)))]
            case "remove":
                members = members[:place] + members[place + 1 :]
            case "before":
                members = [(name, draw(_bad(name))), *members]
            case "after":
                members = [*members, (name, draw(_good(name) | _bad(name)))]
            case "unknown":
                value = draw(st.sampled_from(VALUES + DEEP))
                members = [*members[:place], (draw(st.sampled_from(UNKNOWN)), value), *members[place:]]
    return members


@st.composite
def _written(draw: st.DrawFn, members: Members) -> str:
    """Members as JSON, with blanks and escapes wherever JSON allows them."""
    blanks = st.sampled_from(("", "", " ", "\n", "\t\r "))

    def blank() -> str:
        return draw(blanks)

    def name_of(name: str) -> str:
        if name and draw(st.integers(0, 9)) == 0:
            return f'"\\u{ord(name[0]):04x}{quoted(name[1:])[1:]}' if ord(name[0]) < 0x10000 else quoted(name, True)
        return quoted(name)

    inside = ",".join(f"{blank()}{name_of(name)}{blank()}:{blank()}{value}{blank()}" for name, value in members)
    return "{" + inside + "}"


good_items = good_members().flatmap(_written)
any_items = st.one_of(
    good_items,
    changed_members().flatmap(_written),
    changed_members().flatmap(_written),
    st.sampled_from(VALUES + DEEP),
)
