"""Draw the loss curve of a training, for its card."""

from pathlib import Path

from davidgen_hf.training.summary import TrainingSummary

FILE_NAME = "loss.png"
LOSSES = {"sft": "completion loss (nats per token)", "dpo": "DPO loss (nats)"}


def draw_losses(summary: TrainingSummary) -> Path:
    """Draw training and held-out loss over the steps into the model's folder, and return the picture's path."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")  # no pyplot: nothing global is touched
    axes = figure.subplots()
    axes.plot(*zip(*summary.loss_history, strict=True), label="training")
    if summary.eval_history:
        axes.plot(*zip(*summary.eval_history, strict=True), marker="o", label="held out")
    axes.set(xlabel="step", ylabel=LOSSES[summary.trainer])
    axes.legend(frameon=False)
    path = Path(summary.output_dir) / FILE_NAME
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return path
