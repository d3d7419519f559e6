"""Names of the fields, keys and values that this plugin writes to a dataset."""

EMBEDDINGS_FIELD = "ccip_embedding"
SOURCE_FIELD = "ccip_source"
ERROR_FIELD = "ccip_error"
GROUP_FIELD = "character_group"

RUN_KEY = "ccip_groups"
SIMILARITY_KEY = "ccip_similarity"
VISUALIZATION_KEY = "ccip_visualization"
EVALUATION_KEY = "ccip_evaluation"
CALIBRATION_KEY = "ccip_calibration"
ANSWERS_KEY = "ccip_answers"

UNASSIGNED = "unassigned"

STATUS_AUTO = "auto"
STATUS_CONFIRMED = "confirmed"
STATUS_IGNORED = "ignored"
STATUSES = (STATUS_AUTO, STATUS_CONFIRMED, STATUS_IGNORED)

ALL, ADD = "all", "add"
MODES = (ALL, ADD)
"""What a run may change: every label but user labels, or only items without a label."""
