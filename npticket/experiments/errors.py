"""What is raised where an experiment cannot be run, gone on with or read."""


class StoreError(ValueError):
    """A directory that cannot be used; the message says which file is wrong and what to do."""


class NothingYetError(StoreError):
    """An experiment of which no run is finished."""


class RecipeError(ValueError):
    """A recipe that is not valid: the message names the field, what was expected and what came."""


class UnknownSeriesError(RecipeError):
    """A recipe that names a series that is not known here."""
