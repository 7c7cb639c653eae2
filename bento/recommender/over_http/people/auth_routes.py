"""`POST /auth/register` and `POST /auth/login`: accounts with a password, and tokens for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Literal
from urllib.parse import parse_qsl

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from bento.auth.accounts import Account, Accounts
from bento.auth.callers import Role, RoleName, caller_of
from bento.auth.errors import NameTaken, NotAllowed, NotSignedIn, TooManyRequests
from bento.auth.passwords import Passwords
from bento.auth.rate_limits import RateLimits
from bento.auth.tokens import Tokens
from bento.http.errors import MalformedRequest
from bento.http.reading import convert, decode
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.errors import NotStored
from bento.recommender.people.person_films import PersonFilms
from bento.recommender.people.tastes import ChosenGenres, LikedFilms, Tastes
from bento.stores.errors import StoreUnavailable
from features.ids import ID_LENGTH_LIMIT

PER_NAME = 10
"""Attempts a minute to sign in as one person."""

PER_ADDRESS = 60
"""Attempts a minute from one address; everybody behind one proxy shares them."""

Username = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH_LIMIT, description="The person's id everywhere.")]


class RegisterRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /auth/register`."""

    username: Username
    password: Annotated[str, Meta(min_length=8, max_length=256)]
    role: RoleName = "user"
    """Another role, and a name that somebody is known by already, need an admin."""
    genres: ChosenGenres = []
    """What the person likes: these come first until there is a history."""
    liked_movies: LikedFilms = []
    """Films that they like: with any there is a history at once."""


class Registered(Struct, frozen=True):
    """Answer of `POST /auth/register`."""

    success: bool
    user_id: str
    role: RoleName


class LoginForm(Struct, frozen=True):
    """`POST /auth/login`, a form; other fields of OAuth 2's password grant are ignored."""

    username: Username
    password: Annotated[str, Meta(min_length=1, max_length=256)]


class LoginAnswer(Struct, frozen=True):
    """Answer of `POST /auth/login`: send the token as `Authorization: Bearer <access_token>`."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    """Seconds."""
    user_id: str
    role: RoleName


ABOUT_REGISTER = About(
    "Make an account",
    "accounts",
    request=RegisterRequest,
    answer=Registered,
    status=201,
    errors=(400, 403, 404, 409, 413, 422, 429, 503),
    example={"username": "ann", "password": "correct horse battery staple", "genres": ["Comedy"], "liked_movies": [1]},
)
ABOUT_LOGIN = About(
    "Sign in; the answer's token opens the other routes",
    "accounts",
    request=LoginForm,
    request_type="application/x-www-form-urlencoded",
    answer=LoginAnswer,
    errors=(400, 401, 413, 422, 429, 503),
    example={"username": "ann", "password": "correct horse battery staple"},
)


class AuthRoutes:
    """Accounts."""

    def __init__(
        self,
        accounts: Accounts,
        limits: RateLimits,
        tokens: Tokens,
        person_films: PersonFilms,
        tastes: Tastes,
        is_known: Callable[[str], bool],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """`is_known`: whether the release has a person of this name."""
        self._accounts = accounts
        self._limits = limits
        self._tokens = tokens
        self._person_films = person_films
        self._tastes = tastes
        self._is_known = is_known
        self._now_s = now_s
        self._passwords = Passwords()

    def routes(self) -> list[Route]:
        """Both routes."""
        return [
            Route("POST", "/auth/register", self.register, ABOUT_REGISTER),
            Route("POST", "/auth/login", self.login, ABOUT_LOGIN),
        ]

    async def register(self, request: Request) -> Response:
        """Make an account. Nobody becomes somebody about whom something is known already, but by an admin's hand."""
        asked = decode(await request.body(), RegisterRequest)
        caller = caller_of(request)
        by_admin = caller.is_known and caller.role is Role.ADMIN
        if asked.role != "user" and not by_admin:
            raise NotAllowed(f"only an admin makes accounts of the role {asked.role}; see python -m bento keys")
        taste = self._tastes.read(asked.genres, asked.liked_movies)
        await self._count(f"address:{_address(request)}", PER_ADDRESS)
        if not by_admin and await self._somebody_is_known_as(asked.username):
            raise NameTaken(asked.username)
        account = Account(asked.username, await self._passwords.hashed(asked.password), asked.role, self._now_s())
        try:
            if not await self._accounts.add(account):
                raise NameTaken(asked.username)
        except StoreUnavailable as error:
            raise NotStored("the account could not be kept, as Redis does not answer; try again") from error
        if taste.genres or taste.liked:
            try:
                await self._tastes.keep(asked.username, taste)
            except NotStored as error:
                path = "PUT /people/{user_id}/taste"
                raise NotStored(f"the account is made, its taste could not be kept: send that to {path}") from error
        return JsonResponse(Registered(True, asked.username, asked.role), 201)

    async def login(self, request: Request) -> Response:
        """A token for whoever knows the password."""
        form = convert(_form(await request.body()), LoginForm)
        await self._count(f"address:{_address(request)}", PER_ADDRESS)
        await self._count(f"login:{form.username}", PER_NAME)
        try:
            account = await self._accounts.account(form.username)
        except StoreUnavailable as error:
            raise NotStored("nobody can sign in at the moment, as Redis does not answer; try again") from error
        password_hash = None if account is None else account.password_hash
        if not await self._passwords.fits(password_hash, form.password) or account is None:
            raise NotSignedIn("name or password is wrong")
        token = self._tokens.issue(account.user_id, account.role, account.created_at_s)
        answer = LoginAnswer(token, "bearer", self._tokens.ttl_s, account.user_id, account.role)
        return JsonResponse(answer, headers={"cache-control": "no-store"})

    async def _count(self, name: str, per_minute: int) -> None:
        wait_s = await self._limits.take(name, per_minute)
        if wait_s:
            raise TooManyRequests(per_minute, wait_s)

    async def _somebody_is_known_as(self, name: str) -> bool:
        """The release knows them, or they have watched something since."""
        if self._is_known(name):
            return True
        history, missing = await self._person_films.of(name)
        if missing:
            raise NotStored("it cannot be seen whether the name is free, as Redis does not answer; try again")
        return len(history.item_rows) > 0


def _address(request: Request) -> str:
    """Where the request comes from; the proxy's address, behind one."""
    return request.client.host if request.client else ""


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except (UnicodeDecodeError, ValueError) as error:
        raise MalformedRequest(str(error)) from None
