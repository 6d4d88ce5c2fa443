"""The class `Ball`: its fields, its arithmetic and its charge for rounding (theory: `ball`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arithmetic import Valued
from .formats import FLOAT64, Array, Charge, Precision

Part = Callable[[Array], Array]

#: Rules for NumPy's functions on Balls; the modules `ball_…` register them.
UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
FUNCTIONS: dict[Any, Callable[..., Any]] = {}


def operator(ufunc: np.ufunc) -> Callable[..., Any]:
    """The method of an operator of Python that has the rule of `ufunc`."""
    return lambda self, *others: UFUNCS[ufunc](self, *(self.lift(x) for x in others))


def reflected(ufunc: np.ufunc) -> Callable[..., Any]:
    """The same for an operator whose left operand is no Ball."""
    return lambda self, other: UFUNCS[ufunc](self.lift(other), self)


def without_rule(name: str, method: str = "__call__", options: Any = ()) -> str:
    """The message of the `TypeError` for a function of NumPy that has no rule."""
    if method != "__call__":
        name += f".{method}"
    with_options = f" with {', '.join(options)}" if options else ""
    return f"np.{name}{with_options} has no rule for Balls: its rounding would not be charged"


#: What an `if` on a Ball says.
NO_TRUTH = "an `if` depends on a value; expected np.where(a > b, x, y)"


def number_radius(p: Precision, v: Array) -> Array | None:
    """|v − v rounded to storage| of a number, or None for 0."""
    own = float(v)
    found: Array | None = p.cache.get(("number", own), v)
    if found is v:
        apart = abs(own - float(p.storage.round(own)))
        if 0.0 < abs(own) < p.storage.eta:
            apart = abs(own)  # it may be flushed to zero
        found = p.cache["number", own] = np.asarray(apart) if apart else None
    return found


class Ball(Valued):
    """A float64 array `v` of any shape with a radius of the same shape, in a `precision`.

    Supports `+ - * / @`, powers, comparisons, the elementwise functions of `ball_elementwise` and
    `functions`, indexing, `.T`, `np.where`, `concatenate`, `stack`, `sum`, `mean`, `var`, `cumsum`
    and the shape functions.  Anything else raises `TypeError`, so no operation goes uncharged.
    """

    __slots__ = (
        "_T",
        "_absolute",
        "_radius",
        "_span",
        "additions",
        "early",
        "m",
        "precision",
        "products",
        "r",
        "reach",
        "roundings",
        "underflows",
        "v",
    )

    v: Array

    def __init__(
        self,
        v: Array,
        precision: Precision,
        r: Array | None = None,
        m: Array | None = None,
        products: int = 0,
        additions: int = 0,
        roundings: int = 0,
    ) -> None:
        self.v = v
        self.precision = precision
        self.r = r  # propagated radius of the terms; None means exact
        self.m = m  # Σ(|term| + radius); None means |v| + r
        self.products = products
        self.additions = additions
        self.roundings = roundings
        self.reach: Array | None = None  # of a product: Π of its factors above 1; None means 1
        self.early: Array | None = None  # as `reach`, of the terms of a sum (see `tape`)
        self.underflows = 0  # underflows of partial products, beyond one a rounding
        self._radius: Array | None = None
        self._absolute: Array | None = None
        self._T: Ball | None = None
        self._span: tuple[bool, bool] | None = None

    # ------------------------------------------------------------------ reading

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.v.size

    def __bool__(self) -> bool:
        raise TypeError(NO_TRUTH)

    @property
    def exact(self) -> bool:
        """Whether nothing has been rounded yet."""
        return self.r is None and not (self.products or self.additions or self.roundings)

    @property
    def absolute(self) -> Array:
        """|v|."""
        if self._absolute is None:
            self._absolute = np.abs(self.v)
        return self._absolute

    @absolute.setter
    def absolute(self, own: Array) -> None:
        self._absolute = own

    @property
    def span(self) -> tuple[bool, bool]:
        """Whether an exact Ball has an element above 1, and one that is subnormal."""
        if self._span is None:
            own = self.absolute
            subnormal = (own < self.precision.storage.eta) & (own > 0.0)
            self._span = bool((own > 1.0).any()), bool(subnormal.any())
        return self._span

    @property
    def magnitude(self) -> Array:
        """Σ(|term| + radius) of the sum that this Ball is."""
        if self.m is not None:
            return self.m
        return self.absolute if self.r is None else self.absolute + self.r

    @property
    def radius(self) -> Array:
        """Bound on |subject − v| for a correct implementation, after its rounding to storage."""
        if self._radius is None:
            self._radius = self._charge()
        return self._radius

    def _charge(self) -> Array:
        stored = self.additions + self.roundings
        if not (stored or self.products):
            return np.zeros_like(self.v) if self.r is None else self.r
        charge = self.precision.charge(self.products, stored, self.underflows)
        floor = charge.floor if self.reach is None else charge.floor * self.reach
        if self.early is not None:
            floor = np.maximum(floor, charge.floor * self.early)
        return charged(self.precision, self.magnitude, self.r, charge, floor)

    def settled(self) -> Ball:
        """This value as one term, charged for its rounding to storage."""
        if not (self.additions or self.roundings or self.products):
            return self
        ball = Ball(self.v, self.precision, self.radius)
        ball.reach, ball._radius, ball._absolute = self.reach, self._radius, self._absolute
        ball.early = self.early
        return ball

    def rounded_apart(self) -> Ball:
        """The same sum, charged one more rounding for each term."""
        ball = self[...]
        ball.roundings, ball._radius = self.roundings + 1, None
        return ball

    # ------------------------------------------------------------------ arithmetic

    def _unreached(self) -> Ball:
        if self.reach is None and self.early is None:
            return self
        return Ball(self.v, self.precision, self.r)

    def lift(self, other: Any) -> Ball:
        """Return `other` as a Ball.  An array becomes an exact Ball; so does a number.

        A number that the storage format cannot hold has the radius of its rounding instead.
        """
        if isinstance(other, Ball):
            return other
        v = np.asarray(other, dtype=np.float64)
        r = None if v.ndim else number_radius(self.precision, v)
        return Ball(v, self.precision, r)

    def _sum(self, v: Array, other: Ball) -> Ball:
        if not (self.reach is other.reach is self.early is other.early is None):
            # `reach` scales the underflow of one product, not of a sum: charge it before adding.
            return self.settled()._unreached()._sum(v, other.settled()._unreached())
        if self.r is None:
            r = other.r
        elif other.r is None:
            r = self.r
        else:
            r = self.r + other.r
        if r is not None and r.shape != v.shape:
            r = np.broadcast_to(r, v.shape)
        ball = Ball(
            v,
            self.precision,
            r,
            self.magnitude + other.magnitude,
            self.products + other.products,
            self.additions + other.additions + 1,
            max(self.roundings, other.roundings),
        )
        ball.underflows = self.underflows + other.underflows
        return ball

    def __add__(self, other: Any) -> Ball:
        other = self.lift(other)
        return self._sum(self.v + other.v, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Ball:
        other = self.lift(other)
        return self._sum(self.v - other.v, other)

    def __rsub__(self, other: Any) -> Ball:
        other = self.lift(other)
        return other._sum(other.v - self.v, self)

    def __neg__(self) -> Ball:
        ball = self.mapped(lambda part: part)
        ball.v = -self.v
        return ball

    def __mul__(self, other: Any) -> Ball:
        if type(other) is not Ball:
            other = self.lift(other)
        r: Array | None = None
        if other.exact:
            if not self.exact:
                r = self.radius * other.absolute
        elif self.exact:
            r = self.absolute * other.radius
        else:
            radius = other.radius
            r = self.radius * (other.absolute + radius)
            r += self.absolute * radius
        return Ball(self.v * other.v, self.precision, r, roundings=1)

    __rmul__ = __mul__

    __matmul__, __rmatmul__ = operator(np.matmul), reflected(np.matmul)
    __truediv__, __rtruediv__ = operator(np.divide), reflected(np.divide)
    __pow__, __abs__ = operator(np.power), operator(np.absolute)
    __lt__, __le__ = operator(np.less), operator(np.less_equal)
    __gt__, __ge__ = operator(np.greater), operator(np.greater_equal)
    __eq__, __ne__ = operator(np.equal), operator(np.not_equal)
    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        rule = UFUNCS.get(ufunc)
        if rule is None or method != "__call__" or kwargs:
            raise TypeError(without_rule(ufunc.__name__, method, kwargs))
        return rule(*(self.lift(x) for x in inputs))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        rule = FUNCTIONS.get(func)
        if rule is None:
            raise TypeError(without_rule(func.__name__))
        return rule(*args, **kwargs)

    # ------------------------------------------------------------------ shape

    def mapped(self, part: Part) -> Ball:
        """The same sum, with `part` applied to each of its arrays."""
        ball = Ball(
            part(self.v),
            self.precision,
            None if self.r is None else part(self.r),
            None if self.m is None else part(self.m),
            self.products,
            self.additions,
            self.roundings,
        )
        ball.underflows = self.underflows
        ball.reach = None if self.reach is None else part(self.reach)
        ball.early = None if self.early is None else part(self.early)
        ball._radius = None if self._radius is None else part(self._radius)
        ball._absolute = None if self._absolute is None else part(self._absolute)
        return ball

    def __getitem__(self, index: Any) -> Ball:
        ball = Ball(
            self.v[index],
            self.precision,
            None if self.r is None else self.r[index],
            None if self.m is None else self.m[index],
            self.products,
            self.additions,
            self.roundings,
        )
        ball.underflows = self.underflows
        if self.reach is not None:
            ball.reach = self.reach[index]
        if self.early is not None:
            ball.early = self.early[index]
        if self._radius is not None:
            ball._radius = self._radius[index]
        if self._absolute is not None:
            ball._absolute = self._absolute[index]
        return ball

    def reshape(self, *shape: int) -> Ball:
        """The same elements in another shape."""
        return self.mapped(lambda part: part.reshape(shape))

    @property
    def T(self) -> Ball:
        """The transpose.  That of an exact Ball is cached: each step needs a weight's transpose."""
        if self._T is None or not self.exact:
            self._T = self.mapped(lambda part: part.T)
        return self._T

    def __repr__(self) -> str:
        return f"Ball({self.v!r} ± {self.radius!r}, {self.precision.name})"


def charged(
    p: Precision, m: Array, r: Array | None, charge: Charge, floor: Array | None = None
) -> Array:
    """Radius of a sum of magnitude m and propagated radius r; `floor` replaces `charge.floor`."""
    # A partial sum past the largest number may be infinite in a correct implementation.
    scaled = m * charge.scale
    radius: Array = scaled * charge.rate
    # Underflow can lose at most m, so a sum of zeros loses nothing.
    lost = np.minimum(scaled, charge.floor if floor is None else floor)
    if p.storage is FLOAT64:
        lost += lost  # `scale` is about 1 here: below the floor, a term may be lost and rounded
    radius += lost
    if r is not None:
        radius += r
    return radius


def settled_ball(p: Precision, v: Array, radius: Array) -> Ball:
    """A Ball whose radius is final: it has no more roundings to charge."""
    ball = Ball(v, p, radius)
    ball._radius = radius
    return ball


def exact(x: Any, precision: Precision) -> Ball:
    """A Ball of radius 0 around values that are exact in the precision's storage format."""
    return Ball(np.asarray(x, dtype=np.float64), precision)


def joined(balls: list[Ball], join: Callable[[list[Array]], Array]) -> Ball:
    """Combine several Balls by `join`.  Each becomes one term, rounded to storage."""
    ball = Ball(join([b.v for b in balls]), balls[0].precision)
    exact_, reaching, early = True, False, False
    for b in balls:
        exact_ = exact_ and b.r is None and b.exact
        reaching = reaching or b.reach is not None
        early = early or b.early is not None
    if not exact_:
        ball.r = ball._radius = join([b.radius for b in balls])
    if reaching:
        ball.reach = join([np.ones_like(b.v) if b.reach is None else b.reach for b in balls])
    if early:
        ball.early = join([np.ones_like(b.v) if b.early is None else b.early for b in balls])
    return ball
