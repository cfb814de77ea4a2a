"""Parameters of a target database's URL that contradict what carecase sets, and those that do not."""

import pytest

from carecase_worker.errors import SettingsError
from carecase_worker.settings.loading import load

POSTGRES = "postgresql://u@h/d"
STATEMENT = "sets statement_timeout in its options, which is statement_timeout_seconds of the database; remove it"
LOCK = "sets lock_timeout in its options, which is lock_timeout_seconds of the database; remove it"
NO_WRITES = "requests a read-only server by target_session_attrs; make it read-write, or remove it"


def load_with(url: str, **variables: str) -> None:
    named = {f"CARECASE_DATABASES_D_{name}": value for name, value in variables.items()}
    load(environment={"CARECASE_DATABASES_D_URL": url, **named})


@pytest.mark.parametrize(
    "query",
    [
        "options=-csearch_path%3Dtenant_a",
        "options=-c+search_path%3Dtenant_a%2Cpublic+-c+geqo%3Doff",
        "options=--search-path%3Dtenant_a",
        r"options=-c+search_path%3D%22two%5C+words%22",
        "options=-c+search_path%3Dstatement_timeout",
        "options=-c+TimeZone%3DUTC+--client-encoding%3Dutf8+-c+synchronous_commit%3DON",
        "options=",
        "sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "host=/var/run/postgresql",
        "host=a,b&port=1,2&target_session_attrs=read-write",
        "target_session_attrs=primary",
        "target_session_attrs=any",
        "host=a:1&host=b:2",
        "service=tenants",
        "application_name=x&connect_timeout=9&keepalives=0&keepalives_idle=60&passfile=/x&client_encoding=UTF-8",
    ],
)
def test_parameters_that_only_add_are_taken(query: str) -> None:
    load_with(f"{POSTGRES}?{query}")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("options=-cstatement_timeout%3D0", STATEMENT),
        ("options=-c++statement_timeout%3D60s", STATEMENT),
        ("options=-csearch_path%3Da+-cSTATEMENT_TIMEOUT%3D0", STATEMENT),
        ("options=--statement_timeout", STATEMENT),
        (r"options=-c+search_path%3Da%5C+b+-c+statement_timeout%3D0", STATEMENT),
        ("options=--lock-timeout%3D0", LOCK),
        ("options=--lock_timeout%3D0", LOCK),
        ("options=-c+lock_timeout%3D%270%27+-cgeqo%3Doff", LOCK),
        (r"options=-c+lock_tim%5Ceout%3D0", LOCK),
        (
            "options=-c+idle_in_transaction_session_timeout%3D0",
            "sets idle_in_transaction_session_timeout in its options, which follows statement_timeout_seconds of the"
            " database; remove it",
        ),
        (
            "options=-c+client_connection_check_interval%3D0",
            "sets client_connection_check_interval in its options, which is set by carecase; remove it",
        ),
        ("options=-c+timezone%3DEurope/Berlin", "sets timezone in its options, which is always UTC; remove it"),
        (
            "options=-c+client_encoding%3Dlatin1",
            "sets client_encoding in its options, which is always UTF8; remove it",
        ),
        (
            "options=-c+synchronous_commit%3Doff",
            "sets synchronous_commit in its options, which is always on; remove it",
        ),
        ("client_encoding=latin1", "sets client_encoding, which is always UTF8; remove it"),
        ("options=-cgeqo%3Doff&options=-csearch_path%3Da", "has options more than once; write one"),
        ("sslmode=disable&sslmode=require", "has sslmode more than once; write one"),
        ("target_session_attrs=read-only", NO_WRITES),
        ("target_session_attrs=standby", NO_WRITES),
        ("target_session_attrs=prefer-standby", NO_WRITES),
    ],
)
def test_what_collides_with_the_settings_of_a_session_is_refused_by_its_name(query: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_with(f"{POSTGRES}?{query}")
    assert str(caught.value) == f"databases.d.url: {text} (in the environment: CARECASE_DATABASES_D_URL)"


def test_a_connect_timeout_that_is_given_twice_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        load_with(f"{POSTGRES}?connect_timeout=9", CONNECT_TIMEOUT_SECONDS="4")
    assert str(caught.value) == (
        "databases.d.url: has connect_timeout, and connect_timeout_seconds of the database is set as well; set one of"
        " them (in the environment: CARECASE_DATABASES_D_URL)"
    )


def test_all_mistakes_of_all_databases_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            environment={
                "CARECASE_DATABASES_A_URL": f"{POSTGRES}?options=-clock_timeout%3D0+-cstatement_timeout%3D0",
                "CARECASE_DATABASES_B_URL": f"{POSTGRES}?client_encoding=latin1",
            }
        )
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "databases.a.url", "databases.a.url", "databases.b.url",
    ]  # fmt: skip


@pytest.mark.parametrize("seconds", ["11", "60", "0", "-1", "", "soon"])
def test_a_connect_timeout_of_the_url_that_outlasts_an_attempt_is_refused(seconds: str) -> None:
    with pytest.raises(
        SettingsError, match=r"databases\.d\.url: has a connect_timeout, .* at most 10, .*chunk_deadline"
    ):
        load_with(f"{POSTGRES}?connect_timeout={seconds}")


@pytest.mark.parametrize(("query", "seconds"), [("", 3), ("?connect_timeout=9", 9), ("?sslmode=disable", 3)])
def test_the_time_for_a_connection_is_known_wherever_it_is_set(query: str, seconds: float) -> None:
    settings = load(environment={"CARECASE_DATABASES_D_URL": f"{POSTGRES}{query}"})
    assert settings.databases["d"].connects_within.total_seconds() == seconds
