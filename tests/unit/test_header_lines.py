"""The lines of a request's head, as one value for each header."""

from carecase_worker.intake.header_lines import joined


def test_blanks_around_a_value_are_no_part_of_it() -> None:
    """RFC 9110, 5.5: so a credential or a database's name is what stands between them."""
    headers = [(b"host", b"service"), (b"vbasoftware-database", b"demo \t"), (b"x-api-key", b"\tkey ")]
    assert joined(headers, needs_host=True) == [
        (b"host", b"service"),
        (b"vbasoftware-database", b"demo"),
        (b"x-api-key", b"key"),
    ]
