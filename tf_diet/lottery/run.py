# SPDX-License-Identifier: MIT
"""What a diet leaves behind: tickets, and which of them to take."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tf_diet.errors import InputError
from tf_diet.lottery.run_folder import RunFolder, Ticket
from tf_diet.pruning.budget import Budget

Scratch = Callable[[int, Any], Ticket]


@dataclass(frozen=True)
class Run:
    """A finished or interrupted run.

    Args:
        folder: where it lives.
        stopped: why it ended before its schedule did; empty if it did not.
    """

    folder: RunFolder
    stopped: str = ""
    _scratch: Scratch | None = field(default=None, repr=False, compare=False)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Run":
        """Returns the run that lives in a folder, finished or not."""
        return cls(RunFolder(folder))

    @property
    def tickets(self) -> list[Ticket]:
        """The tickets of all finished rounds; the first is the full model."""
        return [self.folder.ticket(line) for line in self.folder.rounds()]

    @property
    def scratches(self) -> list[Ticket]:
        """What `scratch` has trained so far."""
        lines = self.folder.rounds("scratch")
        return [self.folder.ticket(line, "scratch") for line in lines]

    def best(
        self, *, error_multiplier: float | None = None, to: Budget | None = None
    ) -> Ticket:
        """Returns the smallest ticket that is good enough, or the best small.

        Judged by the validation error, so that the test error stays honest.

        Args:
            error_multiplier: the largest validation error allowed, over that
                of the full model; 1.0 when neither is given. The full model
                where no ticket is as good.
            to: what the ticket may cost: of those that cost no more, the one
                with the least error is returned.

        Raises:
            InputError: both are given, or no ticket meets the budget.
        """
        tickets = self.tickets
        if to is not None:
            if error_multiplier is not None:
                raise InputError(
                    "One bound chooses a ticket: of its error or of its cost. "
                    f"Received: error_multiplier={error_multiplier}, to={to}. "
                    "Pass one of them."
                )
            return _within(tickets, to)
        multiplier = 1.0 if error_multiplier is None else error_multiplier
        bound = multiplier * tickets[0].line.validation_error
        good = [t for t in tickets if t.line.validation_error <= bound]
        return min(good or tickets[:1], key=lambda t: t.line.parameters)

    def scratch(self, round: int, *, optimizer: Any = None) -> Ticket:
        """Trains a net of a ticket's widths from fresh weights.

        It gets as many steps as the run took up to that ticket, all rounds
        together: a lottery that does not beat it has found no ticket. What is
        interrupted goes on when called again; what is done is not repeated.

        Args:
            round: the ticket's.
            optimizer: for that longer training; the run's own when left out,
                with its learning-rate schedule stretched.

        Returns:
            The trained net and its figures.

        Raises:
            InputError: there is no such round, the run was opened from its
                folder and has no data, or the learning-rate schedule is of a
                kind that cannot be stretched.

        Source:
            Liu et al., "Rethinking the Value of Network Pruning", ICLR 2019
            ("Scratch-B").
        """
        if self._scratch is None:
            raise InputError(
                "A run that was opened from its folder has no data to train "
                f"on. Received: {self!r}. Call LotteryDiet.fit(..., "
                "resume=True) with the same arguments and use what it returns."
            )
        rounds = [ticket.line.round for ticket in self.tickets]
        if round not in rounds:
            raise InputError(
                f"The run has no such round. Received: {round}. Finished: "
                f"{', '.join(map(str, rounds))}."
            )
        return self._scratch(round, optimizer)

    def __repr__(self) -> str:
        return f"<Run of {len(self.tickets)} rounds in {self.folder.folder}>"


def _within(tickets: Sequence[Ticket], to: Budget) -> Ticket:
    """Returns the ticket of the least error that costs no more."""
    # Runs are listed without Keras.
    from tf_diet.graph.build import build

    costs = {}
    for ticket in sorted(tickets, key=lambda t: t.line.validation_error):
        graph = build(ticket.load())
        costs[ticket.line.round] = to.costs(graph, graph.everything)
        if to.met(costs[ticket.line.round]):
            return ticket
    smallest = min(tickets, key=lambda t: t.line.parameters).line.round
    raise InputError(
        f"No ticket meets the budget. Received: {to}; the smallest, of round "
        f"{smallest}, comes to {costs[smallest]}. Allow more, or run more "
        "rounds."
    )
