"""What a reader says of a file that is not as it should be."""


class DataError(ValueError):
    """A file of a data set is malformed. `where` names the file and the place in it (line, character, object)."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(where, message)
        self.where = where
        self.message = message

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"
