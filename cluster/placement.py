"""Where actors run that are to live as long as the driver."""

from __future__ import annotations

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


def start_beside_driver(kind: type[Any], *arguments: Any) -> Any:
    """An actor of class `kind` on this node, which reserves no core and is started again, empty, whenever it dies."""
    this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(kind)
    return actor.options(scheduling_strategy=this_node).remote(*arguments)
