"""Errors a user can act on: what was found, what was needed, what to do next."""


class DavidgenError(ValueError):
    """Base of every error that this package raises on purpose; the command line shows its text and exits with 2."""


class MissingColumnsError(DavidgenError):
    """A processor needs columns that the dataset does not have."""


class ColumnTypeError(DavidgenError):
    """A column that a processor reads has another type than it needs, or null where it needs a value."""


class SettingError(DavidgenError):
    """A setting is unknown, of the wrong type, or outside the range its field accepts."""


class InputError(DavidgenError):
    """A file, folder or dataset that was named cannot be read as what it was named for."""


class ModelError(DavidgenError):
    """A model cannot be found or loaded, or cannot do what it is needed for."""


class TooLongError(DavidgenError):
    """A text does not fit into the model's context; the message names its row."""


class TrainingError(DavidgenError):
    """There is nothing to train on, or training went where it cannot be trusted."""


class RunFolderError(DavidgenError):
    """The output folder belongs to another recipe, is in use, or cannot be read or written."""


class FolderBusyError(RunFolderError):
    """Another process works in the run's folder."""


class ExecutorError(DavidgenError):
    """Workers cannot be reached or started, or die of a shard."""


class ProvenanceError(DavidgenError):
    """A source is restricted or unknown, and the recipe does not say that this is wanted."""


class HubError(DavidgenError):
    """The Hub cannot be reached, or refuses the request."""


class EvaluationError(DavidgenError):
    """Predictions, references or a benchmark's data do not fit together."""
