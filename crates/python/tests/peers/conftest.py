"""A cluster of Ray on this machine."""

import os
import socket

import pytest

# What else a machine does can keep Ray's processes longer than Ray waits.
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
os.environ.setdefault("RAY_agent_register_timeout_ms", "120000")

# For ports that it must choose itself Ray waits 15 seconds, whatever the settings.
PORTS = (
    *("metrics_agent_port", "metrics_export_port"),
    *("dashboard_agent_listen_port", "runtime_env_agent_port"),
)


def free_ports():
    sockets = [socket.socket() for _ in PORTS]
    for one in sockets:
        one.bind(("", 0))
    ports = {name: one.getsockname()[1] for name, one in zip(PORTS, sockets)}
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="session")
def cluster():
    """A head that runs nothing, and two workers of one CPU."""
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, **free_ports()}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=1, **free_ports())
    ray.init(address=cluster.address)
    yield
    ray.shutdown()
    cluster.shutdown()
