"""GH200 nodes. Which repositories they must know, or which keys to declare here: docs/repositories.md."""

from provision import fleet

gh200 = fleet(
    ["gh200-01", "gh200-02"],
    os="ubuntu24.04",
    arch="aarch64",
    gpu="GH200",
    driver="580",
    cuda="13.0",
    features=["rdma", "containers", "gdrcopy", "gds", "dcgm"],
    reboots="single",
    ssh_user="ubuntu",
    sudo=True,
)
