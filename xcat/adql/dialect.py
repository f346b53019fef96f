"""Text to a tree: the words of ADQL in sqlglot's tokenizer and parser, and limits before anything is parsed.

sqlglot reads the SQL of thirty databases. What ADQL does not have is taken out here, so that its names are free for
columns; whatever still slips through is refused later, since only listed nodes and arguments are translated.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, NoReturn

from sqlglot import exp, parser, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from xcat.adql.model import Refusal

#: Longest query, in characters.
MAX_CHARACTERS = 100_000
#: Most words, numbers, names and signs: a list of some 5,900 source numbers, read in half a second.
MAX_TOKENS = 12_000
#: Most SELECTs, with all subqueries and operands of UNION.
MAX_SELECTS = 100
#: Deepest nesting of parentheses and CASE, and the longest row of NOT or signs before a value.
MAX_DEPTH = 24

_LAST_CLAUSES = (TokenType.ORDER_BY, TokenType.OFFSET)
_SET_OPERATIONS = (TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT)
_ORDERED = ("JOIN", "WHERE", "GROUP_BY", "HAVING", "ORDER_BY", "OFFSET")
_CLAUSES = {TokenType[name]: number for number, name in enumerate(_ORDERED)}

_WORDS = """
ALL AND ASC BETWEEN CASE CROSS DESC DISTINCT ELSE END EXCEPT EXISTS FALSE FROM FULL HAVING ILIKE IN INNER INTERSECT IS
JOIN LEFT LIKE LIMIT NATURAL NOT NULL OFFSET ON OR OUTER RIGHT SELECT THEN TOP TRUE UNION USING WHEN WHERE WITH
"""
_KEYWORDS = {
    "||": TokenType.DPIPE,
    ">=": TokenType.GTE,
    "<=": TokenType.LTE,
    "<>": TokenType.NEQ,
    "!=": TokenType.NEQ,
    "AS": TokenType.ALIAS,
    "GROUP BY": TokenType.GROUP_BY,
    "ORDER BY": TokenType.ORDER_BY,
    **{word: TokenType[word] for word in _WORDS.split()},
}
_SIGNS = {sign: tokens.Tokenizer.SINGLE_TOKENS[sign] for sign in "().,-=><+/*|;!"} | dict.fromkeys(
    "'\"", TokenType.UNKNOWN
)
_WORD = re.compile(r"[^\W\d]\w*", re.A)
_ALLOWED = {*_KEYWORDS.values(), *_SIGNS.values(), TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING} | {
    TokenType.NUMBER,
    TokenType.HEX_STRING,
}
_FORBIDDEN = {TokenType.UNKNOWN, TokenType.PIPE}
_OPENING = {TokenType.L_PAREN, TokenType.CASE}
_CLOSING = {TokenType.R_PAREN, TokenType.END}
_PREFIXES = {TokenType.NOT, TokenType.DASH, TokenType.PLUS}
_NAMES = {TokenType.VAR, TokenType.IDENTIFIER}
_CONSTANTS = {
    *(TokenType.STRING, TokenType.NUMBER, TokenType.HEX_STRING, TokenType.NULL, TokenType.TRUE, TokenType.FALSE),
    TokenType.STAR,
}
#: What may stand before and after a sign or word; sqlglot reads over what is missing there.
_ENDS = {*_NAMES, *_CONSTANTS, TokenType.R_PAREN, TokenType.END, TokenType.ASC, TokenType.DESC}
_STARTS = {*_NAMES, *_CONSTANTS, *_PREFIXES, *_OPENING, TokenType.EXISTS, TokenType.DOT}
_EVERY = set(TokenType)
_NEIGHBOURS = {
    TokenType.COMMA: (_ENDS, _STARTS),
    TokenType.DOT: (_NAMES, {*_NAMES, TokenType.STAR}),
    TokenType.NOT: (_EVERY, _EVERY - {TokenType.IS}),
    TokenType.ALIAS: (_ENDS, _EVERY - {TokenType.R_PAREN, TokenType.COMMA}),
    **dict.fromkeys(
        (
            *(TokenType.PLUS, TokenType.DASH, TokenType.GROUP_BY, TokenType.ORDER_BY, TokenType.WHERE),
            *(TokenType.HAVING, TokenType.ON, TokenType.WHEN, TokenType.THEN, TokenType.ELSE, TokenType.BETWEEN),
            *(TokenType.LIKE, TokenType.ILIKE),
        ),
        (_EVERY, _STARTS),
    ),
    **dict.fromkeys(
        (
            *(TokenType.EQ, TokenType.NEQ, TokenType.LT, TokenType.LTE, TokenType.GT, TokenType.GTE),
            *(TokenType.SLASH, TokenType.DPIPE, TokenType.AND, TokenType.OR),
        ),
        (_ENDS, _STARTS),
    ),
}


class _Unread(ParseError):
    """What the parser does not understand, and where."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Adql(Dialect):
    """ADQL 2.1."""

    INTERSECT_BINDS_TIGHTER_THAN_UNION_AND_EXCEPT = True
    SUPPORTS_USER_DEFINED_TYPES = False

    class Tokenizer(tokens.Tokenizer):
        """Words and signs of ADQL."""

        KEYWORDS = _KEYWORDS
        SINGLE_TOKENS = _SIGNS
        COMMENTS: ClassVar[list[str | tuple[str, str]]] = ["--"]
        COMMANDS: ClassVar[set[TokenType]] = set()
        HEX_STRINGS: ClassVar[list[str | tuple[str, str]]] = [("0x", ""), ("0X", "")]
        QUOTES: ClassVar[list[tuple[str, str] | str]] = ["'"]
        IDENTIFIERS: ClassVar[list[str | tuple[str, str]]] = ['"']

    class Parser(parser.Parser):
        """Grammar of ADQL; every function is read by its name and arguments alone."""

        _NAMES: ClassVar[set[TokenType]] = {TokenType.VAR}
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {"CASE": lambda self: self._parse_case()}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {"CAST": lambda self: self._parse_adql_cast()}
        STATEMENT_PARSERS: ClassVar[dict[Any, Any]] = {}
        TYPE_TOKENS: ClassVar[set[TokenType]] = set()
        ID_VAR_TOKENS = TABLE_ALIAS_TOKENS = ALIAS_TOKENS = _NAMES
        FUNC_TOKENS: ClassVar[set[TokenType]] = {TokenType.VAR, TokenType.EXISTS}
        SUBQUERY_PREDICATES: ClassVar[dict[Any, Any]] = {TokenType.EXISTS: exp.Exists}
        ASSIGNMENT: ClassVar[dict[TokenType, type[exp.Expr]]] = {}
        BITWISE: ClassVar[dict[Any, Any]] = {}
        LAMBDAS: ClassVar[dict[Any, Any]] = {}
        COLUMN_OPERATORS: ClassVar[dict[Any, Any]] = {TokenType.DOT: None}
        PLACEHOLDER_PARSERS: ClassVar[dict[Any, Any]] = {}
        UNARY_PARSERS: ClassVar[dict[Any, Any]] = {
            token: parser.Parser.UNARY_PARSERS[token] for token in (TokenType.PLUS, TokenType.NOT, TokenType.DASH)
        }
        RANGE_PARSERS: ClassVar[dict[Any, Any]] = {
            TokenType.BETWEEN: lambda self, this: self._parse_adql_between(this),
            **{
                token: parser.Parser.RANGE_PARSERS[token]
                for token in (TokenType.ILIKE, TokenType.IN, TokenType.IS, TokenType.LIKE)
            },
        }
        QUERY_MODIFIER_PARSERS: ClassVar[dict[Any, Any]] = {
            token: parser.Parser.QUERY_MODIFIER_PARSERS[token]
            for token in (
                TokenType.WHERE,
                TokenType.GROUP_BY,
                TokenType.HAVING,
                TokenType.ORDER_BY,
                TokenType.LIMIT,
                TokenType.OFFSET,
            )
        }
        QUERY_MODIFIER_TOKENS: ClassVar[set[TokenType]] = set(QUERY_MODIFIER_PARSERS)
        # TOP belongs to the SELECT that it stands in
        SET_OP_MODIFIERS: ClassVar[set[str]] = {"order", "offset"}

        def raise_error(self, message: str, token: Token | None = None) -> NoReturn:
            """Raise with the place of the token, not of the character after it."""
            token = token or self._curr or self._prev
            raise _Unread(message, token.start if token else 0)

        def _parse_join(
            self, skip_join_token: bool = False, parse_bracket: bool = False, alias_tokens: Any = None
        ) -> exp.Join | None:
            """Parse a join; one by a comma is marked, since a JOIN without its condition looks the same otherwise."""
            is_comma = self._curr.token_type == TokenType.COMMA
            join = super()._parse_join(skip_join_token, parse_bracket, alias_tokens)
            if is_comma and join is not None:
                join.set("kind", "COMMA")
            return join

        def _parse_string_as_identifier(self) -> None:
            """No text is a name."""

        def _parse_adql_between(self, value: exp.Expr | None) -> exp.Expr:
            """Parse ``low AND high``; sqlglot does without the AND."""
            low = self._parse_bitwise()
            if not self._match(TokenType.AND):
                self.raise_error("BETWEEN is written BETWEEN low AND high")
            return self.expression(exp.Between(this=value, low=low, high=self._parse_bitwise()))

        def _parse_adql_cast(self) -> exp.Expr:
            """Parse ``value AS TYPE[(n)]``; the type stays a text."""
            value = self._parse_disjunction()
            if not self._match(TokenType.ALIAS):
                self.raise_error("CAST is written CAST(value AS TYPE)")
            words = []
            while self._curr.token_type == TokenType.VAR:
                words.append(self._curr.text.upper())
                self._advance()
            size = None
            if self._match(TokenType.L_PAREN):
                size = self._parse_number()
                if size is None or not self._match(TokenType.R_PAREN):
                    self.raise_error("a length is a number")
            if self._curr.token_type != TokenType.R_PAREN:
                self.raise_error("CAST is written CAST(value AS TYPE)")
            return self.expression(exp.Cast(this=value, to=exp.Var(this=" ".join(words)), default=size))


def parse(query: str) -> exp.Query:
    """The tree of one query.

    Raises
    ------
    Refusal
        If the text is too long, too deep or not ADQL.
    """
    if len(query) > MAX_CHARACTERS:
        raise Refusal(f"the query has {len(query):,} characters: at most {MAX_CHARACTERS:,} are read")
    for number, character in enumerate(query):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise Refusal(f"the character with code {ord(character)} cannot be part of a query", number)
    dialect = Adql()
    try:
        words = dialect.tokenize(query)
    except SqlglotError:
        raise Refusal("a text in '...' or a name in \"...\" has no end") from None
    while words and words[-1].token_type == TokenType.SEMICOLON:
        words.pop()
    _check(words, query)
    try:
        trees = dialect.parser(error_level=ErrorLevel.IMMEDIATE).parse(words, query)
    except _Unread as unread:
        word = next((w.text for w in words if w.start == unread.offset), "")
        raise Refusal(f"this is not ADQL near {word[:40]!r}", unread.offset) from None
    except RecursionError:
        raise Refusal("the query is nested too deeply: write subqueries as WITH") from None
    except Exception as problem:  # a parser for thirty databases fails on nonsense in ways of its own
        raise Refusal("this is not ADQL") from problem
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise Refusal("a query is one SELECT", words[0].start if words else None)
    return trees[0]


def _check(words: list[Token], query: str) -> None:
    """Refuse what the parser must not see."""
    if not words:
        raise Refusal("the query is empty: a query is one SELECT")
    if len(words) > MAX_TOKENS:
        raise Refusal(f"the query has {len(words):,} words and signs: at most {MAX_TOKENS:,} are read")
    if sum(word.token_type == TokenType.SELECT for word in words) > MAX_SELECTS:
        raise Refusal(f"the query has more than {MAX_SELECTS} SELECTs")
    depth = prefixes = 0
    for number, word in enumerate(words):
        kind = word.token_type
        before, after = words[number - 1] if number else None, words[number + 1] if number + 1 < len(words) else None
        if kind == TokenType.SEMICOLON:
            raise Refusal("a query is one SELECT: nothing may follow the semicolon", word.start)
        if kind not in _ALLOWED or kind in _FORBIDDEN:
            raise Refusal(f"not supported: {word.text[:20]!r}", word.start)
        if kind == TokenType.VAR and not _WORD.fullmatch(word.text):
            text = word.text[:40]
            if not text[0].isalpha():
                raise Refusal(f"not supported: {text!r}", word.start)
            raise Refusal(f'not supported: {text!r}; as a name, write it in double quotes: "{text}"', word.start)
        touches = after is not None and after.start == word.end + 1
        if kind == TokenType.NUMBER and touches and after and after.token_type in {TokenType.VAR, TokenType.NUMBER}:
            raise Refusal(f"{query[word.start : after.end + 1][:40]} is neither a number nor a name", word.start)
        ends, starts = _NEIGHBOURS.get(kind, (None, None))
        if kind == TokenType.NOT and after and after.token_type == TokenType.NULL:
            ends = {TokenType.IS}
        if kind == TokenType.DOT and touches and after and after.token_type == TokenType.NUMBER:  # .5
            ends, starts = _EVERY - _ENDS, _EVERY
        if (ends and (before is None or before.token_type not in ends)) or (
            starts and (after is None or after.token_type not in starts)
        ):
            raise Refusal(f"this is not ADQL near {word.text!r}", word.start)
        depth += (kind in _OPENING) - (kind in _CLOSING)
        prefixes = prefixes + 1 if kind in _PREFIXES else 0
        if depth > MAX_DEPTH or prefixes > MAX_DEPTH:
            raise Refusal(f"the query is nested too deeply: at most {MAX_DEPTH} parentheses deep", word.start)
    if depth:
        raise Refusal(
            "a parenthesis or CASE has no end" if depth > 0 else "there is a ) or END too many", words[-1].start
        )
    _check_order(words)


def _check_order(words: list[Token]) -> None:
    """Refuse clauses in another order than the grammar's, which the parser would take."""
    before: list[Token | None] = [None]  # the last clause, for every parenthesis around
    for word in words:
        kind, last = word.token_type, before[-1]
        if kind == TokenType.L_PAREN:
            before.append(None)
        elif kind == TokenType.R_PAREN:
            before = before[:-1] or [None]  # a ) may close a CASE: the parser says so
        elif kind == TokenType.SELECT:
            before[-1] = word
        elif kind in _SET_OPERATIONS:
            if last is not None and last.token_type in _LAST_CLAUSES:
                raise Refusal(f"{word.text.upper()} must come before {last.text.upper()}", word.start)
            before[-1] = None
        elif kind in _CLAUSES and (last is not None or kind in _LAST_CLAUSES):
            if last is not None and _CLAUSES.get(last.token_type, -1) > _CLAUSES[kind]:
                raise Refusal(f"{word.text.upper()} must come before {last.text.upper()}", word.start)
            before[-1] = word


def offset(node: object) -> int | None:
    """Number of the character where a node begins, or the nearest node around it that knows."""
    at = node if isinstance(node, exp.Expr) else None
    while at is not None:
        starts = [n.meta["start"] for n in at.walk() if "start" in n.meta]
        if starts:
            return int(min(starts))
        at = at.parent
    return None
