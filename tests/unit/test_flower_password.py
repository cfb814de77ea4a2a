"""The password of the operators' page: the right one is let in in every spelling of programs, nothing else is."""

import base64

import pytest

from carecase_worker.flower.door import is_known
from carecase_worker.settings.sections.flower import FlowerSettings

PASSWORDS = [
    "plain", "a,b", ",", "a:b", ":", "a b", " a ", "%41", "100%", "#", "a#b", "ü", "пароль", "密码",
    "🔑", '"', "'", "\\",
    "$x", "a=b", "--read_only=false", "a;b", "\u00a0", "x" * 500,
]  # fmt: skip


def page(password: str, user: str = "flower") -> FlowerSettings:
    return FlowerSettings.model_validate({"user": user, "password": password})


def header(credentials: str, encoding: str = "utf-8", scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(credentials.encode(encoding)).decode()}"


@pytest.mark.parametrize("password", PASSWORDS)
def test_whatever_the_password_has_in_it_it_alone_is_let_in(password: str) -> None:
    flower_page = page(password)
    assert is_known(header(f"flower:{password}"), flower_page)
    assert is_known(header(f"flower:{password}", scheme="basic"), flower_page)
    for part in {*password.split(","), *password.split(":"), password[:-1], f"{password}x", f" {password}", "?"} - {
        password
    }:
        assert not is_known(header(f"flower:{part}"), flower_page)
        assert not is_known(header(part), flower_page)
    assert not is_known(header(f"other:{password}"), flower_page)
    assert not is_known(header(password), flower_page)
    assert not is_known(header(f"flower:{password}", scheme="Bearer"), flower_page)


@pytest.mark.parametrize("user", ["flower", "ä", "a,b", "a b", "%"])
def test_whatever_the_user_has_in_it_it_is_let_in(user: str) -> None:
    assert is_known(header(f"{user}:word"), page("word", user))
    assert not is_known(header("flower:other"), page("word", user))


def test_programs_may_send_latin_1() -> None:
    assert is_known(header("flower:pässword", "latin-1"), page("pässword"))
    assert not is_known(header("flower:p?ssword", "latin-1"), page("pässword"))


@pytest.mark.parametrize("sent", ["", "Basic", "Basic ", "Basic !", "Basic ü", "Basic YQ", "YTpi", "Basic YTpi YTpi"])
def test_a_header_that_is_none_is_not_let_in(sent: str) -> None:
    assert not is_known(sent, page("word"))
