"""What a request would do, from its method and words, on captions and operations as real sites have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.discovery.engine.effects import effect_of, ends_session, gravest, is_idempotent
from tasks.discovery.tool import Effect

READ = [
    ("GET", "Search"),
    ("get", "Suchen", "/suche"),
    ("GET", "Rechercher un produit"),
    ("GET", "検索"),
    ("GET", "Add-ons"),
    ("GET", "Recently deleted files"),
    ("GET", "listDeletedItems", "/trash"),
    ("GET", "getPayments", "/payments"),
    ("GET", "List payment methods", "/accounts/{id}/payment-methods"),
    ("GET", "/transfers"),
    ("GET", "Get the checkout of a session", "/checkout/{id}"),
    ("GET", "Find a store that lets you buy online"),
    ("GET", "/user/profile", "Get user profile"),
    ("GET", "/items/{delete_token}"),
    ("GET", "Wissen"),
    ("GET", "Noticias del día"),
    ("HEAD", "/files/{id}"),
    ("dialog", "Close"),
    ("POST", "Search", "/search"),
    ("POST", "/_search"),
    ("POST", "Suchen"),
    ("POST", "Найти"),
    ("POST", "searchRepositories", "/v2/repositories/search"),
    ("POST", "/users/query"),
    ("POST", "findPetsByStatus"),
    ("POST", "get_cart_contents"),
]
WRITE = [
    ("POST", "Send message", "/contact"),
    ("POST", "Absenden", "/kontakt"),
    ("POST", "Submit order", "/post"),
    ("POST", "Add to cart"),
    ("POST", "Log in", "/login", "password"),
    ("POST", "Anmelden", "Passwort"),
    ("POST", "Iniciar sesión", "Contraseña"),
    ("POST", "Create your account", "/register", "password"),
    ("POST", "createUser", "/users"),
    ("POST", "addPet", "/pet"),
    ("PUT", "updatePet", "/pet"),
    ("PATCH", "/products/{id}"),
    ("POST", "Save search", "/saved-searches"),
    ("POST", "findOrCreateTag", "/tags"),
    ("POST", "createSearch", "/search"),
    ("POST", "Get a quote"),
    ("POST", "/graphql"),
    ("POST",),
    ("BREW", "/coffee"),
    ("GET", "Subscribe", "/newsletter"),
    ("GET", "Add to cart", "/?add-to-cart=42"),
    ("GET", "Ajouter au panier"),
    ("POST", "Save", "/admin/auth/user/add", "Add user"),
    ("POST", "Add user", "/users/new", "password"),
]
SIGN_OUT = [
    ("GET", "Log out"),
    ("GET", "/accounts/logout/"),
    ("POST", "signOut"),
    ("GET", "Abmelden"),
    ("GET", "Déconnexion"),
    ("GET", "/deconnexion"),
    ("GET", "Cerrar sesión"),
    ("GET", "Выйти"),
    ("GET", "ログアウト"),
]
DESTROY = [
    ("DELETE", "/pets/{id}"),
    ("delete",),
    ("GET", "/users/42/delete"),
    ("GET", "/index.php?op=del&id=42"),
    ("GET", "Delete"),
    ("GET", "Löschen"),
    ("GET", "/artikel/loeschen/7"),
    ("GET", "Supprimer ce compte"),
    ("GET", "Eliminar"),
    ("GET", "Usuń konto"),
    ("GET", "Удалить"),
    ("GET", "删除"),
    ("GET", "アカウントを削除"),
    ("GET", "삭제"),
    ("GET", "حذف"),
    ("POST", "deletePet"),
    ("POST", "bulk_remove_tags"),
    ("POST", "Search and destroy"),
    ("POST", "DeleteItemsCommand"),
    ("POST", "Deletion request"),
    ("POST", "Cancel order"),
    ("GET", "Cancel subscription"),
    ("POST", "Unsubscribe"),
    ("POST", "Abo kündigen"),
    ("POST", "Change password"),
    ("POST", "/password/reset"),
    ("POST", "Forgot password"),
    ("POST", "Passwort vergessen?"),
    ("POST", "Mot de passe oublié"),
    ("POST", "/account/password"),
    ("POST", "Create API key"),
    ("POST", "Log in and reset your password"),
    ("PUT", "/user/profile"),
    ("PATCH", "/users/{id}"),
    ("POST", "Save settings", "/account"),
    ("POST", "Edit profile"),
    ("POST", "/users/{id}/ban"),
    ("POST", "Disable two-factor authentication"),
    ("POST", "rotateAPIKey"),
    ("POST", "Pay now"),
    ("POST", "placeOrder", "/store/order"),
    ("POST", "Jetzt kaufen"),
    ("POST", "Zahlungspflichtig bestellen"),
    ("POST", "Оплатить"),
    ("POST", "/transfers"),
    ("POST", "createRefund", "/v1/refunds"),
    ("GET", "Buy now"),
    ("GET", "Donate"),
    ("POST", "Save", "/admin/auth/user/2/change", "Change user"),
    ("POST", "Save and set password", "/users/new", "New user"),
]


@pytest.mark.parametrize("words", READ)
def test_what_only_asks_reads(words: tuple[str, ...]) -> None:
    """A safe method, or a POST that is a question by its name."""
    assert Effect.READ == effect_of(*words)


@pytest.mark.parametrize("words", WRITE)
def test_what_sends_something_writes(words: tuple[str, ...]) -> None:
    """Whatever else is not safe, and the GETs that sign up or fill a basket."""
    assert Effect.WRITE == effect_of(*words)


@pytest.mark.parametrize("words", DESTROY)
def test_what_deletes_pays_or_changes_an_account_destroys(words: tuple[str, ...]) -> None:
    """In any language of the list, under any method."""
    assert Effect.DESTROY == effect_of(*words)


@pytest.mark.parametrize("words", SIGN_OUT)
def test_a_sign_out_writes_and_is_known_as_one(words: tuple[str, ...]) -> None:
    """It deletes nothing and changes no account, but a discovery that runs it is signed out."""
    assert Effect.WRITE == effect_of(*words)
    assert ends_session(*words[1:])


@pytest.mark.parametrize("words", [*READ, *DESTROY])
def test_nothing_else_ends_a_session(words: tuple[str, ...]) -> None:
    """Least of all what reads, which is tried."""
    assert not ends_session(*words[1:])


def test_of_several_effects_the_gravest_counts() -> None:
    """And of none, none."""
    assert Effect.DESTROY == gravest([Effect.READ, Effect.DESTROY, Effect.WRITE])
    assert Effect.READ == gravest([])


def test_sending_twice_is_the_same_as_once_where_http_says_so() -> None:
    """PUT and DELETE are, POST is not, unless it only asks."""
    assert is_idempotent("put", Effect.WRITE)
    assert is_idempotent("DELETE", Effect.DESTROY)
    assert is_idempotent("POST", Effect.READ)
    assert not is_idempotent("POST", Effect.WRITE)
    assert not is_idempotent("PATCH", Effect.WRITE)


@given(st.text(max_size=8), st.lists(st.text(max_size=400), max_size=50))
def test_any_words_have_an_effect(method: str, words: list[str]) -> None:
    """Nothing that a page says makes it fail."""
    assert effect_of(method, *words) in Effect
