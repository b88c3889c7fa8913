# What is used of uhashring, which has no type information.

class HashRing:
    def __init__(
        self,
        nodes: list[str] | dict[str, int] | dict[str, dict[str, int]] = ...,
        *,
        hash_fn: str = ...,
        replicas: int = ...,
    ) -> None: ...
    def get_points(self) -> list[tuple[int, str]]: ...
    def get_node(self, key: str) -> str: ...
