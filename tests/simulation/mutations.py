"""Ways to make the reactors, one for each mutation: the simulation must catch all but the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relay_parsl.client.reactor import ClientReactor
from relay_parsl.endpoint.reactor import EndpointReactor
from relay_parsl.relay.reactor import RelayReactor
from relay_parsl.wire.messages import Attempt, Cancel, Follow, Id, Message, Submit, Task, Watch


class Mutation:
    """No mutation: the reactors as they are."""

    name = 'none'
    ack_before_commit = False

    def client(self, *args: Any, **options: Any) -> ClientReactor:
        """A client's reactor."""
        return ClientReactor(*args, **options)

    def relay(self, *args: Any, **options: Any) -> RelayReactor:
        """A relay's reactor."""
        return RelayReactor(*args, **options)

    def endpoint(self, *args: Any, **options: Any) -> EndpointReactor:
        """An endpoint's reactor."""
        return EndpointReactor(*args, **options)

    def theft(self, task_id: Id, task: Task) -> Sequence[Message]:
        """What a hostile client says about a foreign task whose id it knows."""
        return Submit((task,)), Follow((), (task_id,)), Cancel((Attempt(task_id),)), Watch((task_id,))

MUTATIONS = {'none': Mutation}
