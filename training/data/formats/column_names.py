"""Names that columns have in the wild, by what they hold; spelling aside."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]")

_NAMES = {
    "user": (
        "userid user users uid username customerid customer custid customerno reviewerid memberid member visitorid "
        "visitor personid person accountid account clientid client profileid profile viewerid readerid listenerid "
        "buyerid sessionid useridx userno author"
    ),
    "item": (
        "movieid itemid item parentasin asin productid product productcode sku stockcode isbn bookid book filmid film "
        "movie trackid track songid song artistid artist articleid article contentid content gameid game showid show "
        "videoid video animeid listingid goodid letterboxduri imdbid tconst tmdbid itemno adid newsid courseid "
        "recipeid beerid businessid"
    ),
    "rating": (
        "rating ratings stars star score scores overall bookrating userrating myrating yourrating rate reviewscore "
        "preference liked like likes thumb feedback grade points"
    ),
    "count": (
        "count counts plays playcount playcounts numplays quantity qty views viewcount weight listens clicks "
        "purchases amount times frequency hours"
    ),
    "time": (
        "timestamp timestamps time times date datetime createdat created unixreviewtime ts eventtime eventtimestamp "
        "watchedat watcheddate purchasedate purchasedat orderdate invoicedate transactiondate tdat unixtime "
        "timestampms timems reviewtime viewedat daterated lastupdated updatedat addedat"
    ),
    "title": (
        "title name movietitle itemname itemtitle productname prodname producttitle booktitle filmtitle "
        "description comment"
    ),
    "year": "year releaseyear yearofpublication publicationyear releasedate startyear originalpublicationyear",
    "genres": (
        "genres genre categories category class labels tags producttype producttypename productgroupname department "
        "maincategory"
    ),
    "overview": "overview plot summary description desc detaildesc synopsis abstract features",
    "director": "director directors author authors bookauthor",
    "cast": "cast actors stars",
    "country": "country",
}

EVENT_ROLES = ("user", "item", "rating", "count", "time")
ITEM_ROLES = ("title", "year", "genres", "overview", "director", "cast", "country")
KNOWN_NAMES = {role: tuple(names.split()) for role, names in _NAMES.items()}

EVENT_FILES = (
    "ratings rating interactions interaction events event feedback feedbacks reviews review purchases orders "
    "transactions plays views watches watched logs log clicks train"
).split()
ITEM_FILES = (
    "movies movie items item products product films film books book catalogue catalog meta metadata articles".split()
)
IGNORED_FILES = "tags links genome-tags genome-scores users readme diary likes watchlist".split()
"""Tables that stand beside events and items in known data sets."""


def plain(name: str) -> str:
    """A column's name without case, punctuation and RecBole's `:type`."""
    return _NOT_ALPHANUMERIC.sub("", name.split(":")[0].lower())


def find(role: str, columns: Iterable[str]) -> str | None:
    """The column whose name says that it holds `role`; of several, the most telling name's."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(plain(column), column)
    return next((by_name[name] for name in KNOWN_NAMES[role] if name in by_name), None)


def is_known(name: str) -> bool:
    """Whether a column may be called so."""
    return any(plain(name) in names for names in KNOWN_NAMES.values()) or plain(name) == "id"
