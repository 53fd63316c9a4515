"""Recognising what a form is for, on pages invented here, in several languages."""

import pytest

from tasks.discovery.engine.form_types import FORM_TYPES, field_kinds, form_type
from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.page import Form

SEARCH_FORMS = {
    "english": "<form action=/search><input name=q placeholder='Search the shop'><button>Search</button></form>",
    "german": "<form action=/suche><label>Suchbegriff <input name=begriff></label><button>Suchen</button></form>",
    "russian": "<form action=/poisk><input name=text placeholder='Поиск'><button>Найти</button></form>",
    "japanese": "<form><input name=k placeholder='キーワードで検索'><input type=submit value='検索'></form>",
    "role": "<form role=search><input type=search name=term><button>→</button></form>",
}
LOGIN_FORMS = {
    "english": "<form method=post><input name=login><input type=password name=pass><button>Log in</button></form>",
    "spanish": "<form method=post action=/acceder><label>Usuario<input name=usuario></label><label>Contraseña"
    "<input type=password name=clave></label><button>Acceder</button></form>",
    "polish": "<form method=post action=/logowanie>Użytkownik <input name=u> Hasło <input type=password name=h>"
    "<label><input type=checkbox name=keep> Zapamiętaj</label><button>Zaloguj się</button></form>",
}
REGISTRATION = (
    "<form method=post action=/account/register><h2>Create your account</h2><label>Name <input name=username></label>"
    "<label>E-mail <input type=email name=email></label><label>Password <input type=password name=pw1></label>"
    "<label>Repeat password <input type=password name=pw2></label><label><input type=checkbox name=terms> I agree "
    "to the terms</label><button>Sign up</button></form>"
)
CONTACT = (
    "<form method=post action=/kontakt><h2>Kontakt</h2><label>Name <input name=name></label><label>E-Mail "
    "<input type=email name=mail></label><label>Betreff <input name=betreff></label><label>Nachricht "
    "<textarea name=nachricht></textarea></label><button>Absenden</button></form>"
)
NEWSLETTER = (
    "<form method=post action=/newsletter/subscribe><p>Get our newsletter</p><input type=email name=email "
    "placeholder='Your email'><button>Subscribe</button></form>"
)
RECOVERY = (
    "<form method=post action=/password/forgot><h1>Forgot your password?</h1><label>E-mail <input name=email></label>"
    "<button>Send reset link</button></form>"
)
ORDER = (
    "<form method=post action=/cart/add><label>Quantity <input type=number name=qty value=1></label><select name=size>"
    "<option>S<option>M</select><input type=hidden name=product_id value=1><button>Add to cart</button></form>"
)


def read(html: str) -> Form:
    return read_page(f"<html><body>{html}", url="https://example.org/").forms[0]


@pytest.mark.parametrize("language", SEARCH_FORMS)
def test_search_is_recognised(language: str) -> None:
    assert "search" == form_type(read(SEARCH_FORMS[language])).name


@pytest.mark.parametrize("language", LOGIN_FORMS)
def test_login_is_recognised(language: str) -> None:
    assert "login" == form_type(read(LOGIN_FORMS[language])).name


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (REGISTRATION, "registration"),
        (CONTACT, "contact/comment"),
        (NEWSLETTER, "join mailing list"),
        (RECOVERY, "password/login recovery"),
        (ORDER, "order/add to cart"),
    ],
)
def test_other_types_are_recognised(html: str, expected: str) -> None:
    assert expected == form_type(read(html)).name


@pytest.mark.parametrize("html", [*SEARCH_FORMS.values(), REGISTRATION, "<form></form>"])
def test_probabilities_are_of_all_types_and_sum_to_one(html: str) -> None:
    guess = form_type(read(html))
    assert set(FORM_TYPES) == set(guess.probabilities)
    assert 1 == pytest.approx(sum(guess.probabilities.values()))
    assert max(guess.probabilities.values()) == guess.probability == guess.probabilities[guess.name]


def test_a_text_input_alone_is_no_search() -> None:
    """The rule that every form with a text input is a search is what this replaces."""
    for html in (NEWSLETTER, RECOVERY, ORDER, *LOGIN_FORMS.values()):
        assert form_type(read(html)).probabilities["search"] < 0.5


def test_fields_are_named_by_what_they_ask() -> None:
    form = read(REGISTRATION)
    kinds = [guess.name if guess else None for guess in field_kinds(form, type_name="registration")]
    expected = ["username", "email", "password", "password confirmation", "TOS confirmation", "submit button"]
    assert expected == kinds


def test_hidden_controls_have_no_kind() -> None:
    form = read(ORDER)
    kinds = dict(
        zip((one.name for one in form.controls), field_kinds(form, type_name="order/add to cart"), strict=True)
    )
    assert kinds["product_id"] is None
    quantity = kinds["qty"]
    assert quantity is not None
    assert "product quantity" == quantity.name
