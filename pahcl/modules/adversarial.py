"""Adversarial pretraining: learn from signals that an attack has changed."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from typing import Any, ClassVar, Literal, cast

import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from pahcl.attacks.apgd import APGD
from pahcl.attacks.base import Attack
from pahcl.attacks.losses import Criterion, Loss
from pahcl.attacks.oracle import held_still
from pahcl.encoders.base import Encoder
from pahcl.errors import UsageError
from pahcl.modules._averages import global_mean
from pahcl.modules._cost import Tally
from pahcl.modules._in_parts import InParts
from pahcl.modules._saved import SavedModel
from pahcl.modules._twin_norms import Branch, TwinNorms, batch_norms
from pahcl.modules.finetuning import Finetuning
from pahcl.modules.guard import Guard, Verdict, Watchman
from pahcl.objectives.robust import Mixed, RobustObjective, Views, own_answer
from pahcl.objectives.schedules import Constant, Exponential, Schedule, progress
from pahcl.objectives.supervised import loss_terms
from pahcl.task import Task

log = logging.getLogger(__name__)

KEEPS_LEADS = ("none", "zscore_record")
"""Normalisations under which III = II - I still holds for a perturbation."""

PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")
"""Precisions in which the network reads float32 signals."""


class AdversarialPretraining(Finetuning):
    """Train an encoder and a head on clean and on attacked signals.

    The method of Eriksson, Schön & Ribeiro (Computing in Cardiology 2024): some clean epochs, then
    epochs on (clean + adversarial) / 2 with APGD, whose epsilon grows from epoch to epoch. The
    attack sees the network in evaluation mode, both passes that are learned from in training mode.
    The loss of each pass is differentiated at once, so that a step needs the memory of one pass
    (objectives that compare both passes need that of two). What `Finetuning` offers holds here too.

    Args:
        encoder: The network.
        attack: What changes the signals; its epsilon is the one at the end. None takes APGD with 10
            steps. Where it names no loss, the task's own is raised, without class weights; a
            regression's is always the squared error.
        objective: What is made of clean and attacked signals; None takes (clean + adversarial) / 2.
        warmup_epochs: Epochs on clean signals alone.
        epsilon_schedule: How epsilon grows over the epochs after the warm-up; None takes equal
            ratios from 0.001 on, as published.
        weight_schedule: How the weight of the attacked signals grows to that of the objective; None
            keeps it.
        consistent_leads: The perturbation keeps III = II - I and the augmented leads. Off, as
            published, all leads are free.
        separate_norm: Attacked signals have BatchNorm statistics, gains and offsets of their own
            (AdvProp; Xie et al., CVPR 2020), which start as copies of the clean ones and are left
            behind after training.
        guard: Against catastrophic overfitting; None leaves it out.
        choose: Which epoch `best.ckpt` holds: the `last`, as published, or the best one on clean
            `validation` signals, which tends to be one before epsilon has grown.
        kwargs: As `Finetuning`.

    Raises:
        UsageError: The settings contradict each other.
    """

    objects: ClassVar[tuple[str, ...]] = (
        *Finetuning.objects,
        *("attack", "objective", "epsilon_schedule", "weight_schedule", "guard"),
    )

    def __init__(
        self,
        encoder: Encoder,
        attack: Attack | None = None,
        objective: RobustObjective | None = None,
        warmup_epochs: int = 10,
        epsilon_schedule: Schedule | None = None,
        weight_schedule: Schedule | None = None,
        consistent_leads: bool = False,
        separate_norm: bool = False,
        guard: Guard | None = Guard(),  # noqa: B008 (frozen)
        choose: Literal["last", "validation"] = "last",
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, **kwargs)
        self.attack = replace(attack or APGD(steps=10), final_loss=False)
        self.objective = objective or Mixed()
        self.warmup_epochs = warmup_epochs
        self.epsilon_schedule = epsilon_schedule or Exponential(start=1e-3)
        self.weight_schedule = weight_schedule or Constant()
        self.consistent_leads, self.choose = consistent_leads, choose
        self.watchman = Watchman(guard)
        self.adversarial_norm = TwinNorms()
        if separate_norm:
            self.adversarial_norm.extend(map(copy.deepcopy, batch_norms(self).values()))
        self._refuse_contradictions(separate_norm)

    def _refuse_contradictions(self, separate_norm: bool) -> None:
        if self.warmup_epochs < 0:
            raise UsageError(f"warmup_epochs must be 0 or more, got {self.warmup_epochs}.")
        for place in (0.0, 1.0):  # schedules and attacks refuse what cannot be
            self.attack.with_epsilon(self.epsilon_schedule(self.attack.epsilon, place))
            if not 0 <= self.weight_schedule(1.0, place) <= 1:
                raise UsageError("weight_schedule must stay between 0 and 1.")
        if separate_norm and not self.adversarial_norm:
            raise UsageError(
                f"{type(self.encoder).__name__} has no BatchNorm: leave `separate_norm` off."
            )
        if separate_norm and not self.objective.learns_clean:
            raise UsageError(
                "`separate_norm` needs an objective that learns from clean signals too: nothing "
                "else moves the statistics that are kept."
            )
        if self.objective.raises == "outputs":
            self._refuse_blind_attack()

    def _refuse_blind_attack(self) -> None:
        """Refuse what cannot raise the divergence from the network's own answer."""
        name = type(self.objective).__name__
        if self.attack.loss is not None:
            raise UsageError(f"{name} attacks the network's own answer: leave `attack.loss` away.")
        if self.attack.starts_clean:
            raise UsageError(
                f"{name} needs an attack that starts at random: at the clean signal the "
                "divergence has no gradient. Take APGD, FGSMRS or PGD with its random start."
            )

    def setup(self, stage: str) -> None:
        """Fit the model to the data module; the attack learns the task's loss, rate and leads."""
        super().setup(stage)
        task, spec = self.known()
        if task.kind == "regression" and self.objective.raises == "labels":
            self.attack = replace(self.attack, loss="mse")
        self.attack = self.attack.at_rate(spec.fs)
        self._rehearse(task)
        for twin, norm in zip(self.adversarial_norm, batch_norms(self).values(), strict=False):
            twin.requires_grad_(any(weight.requires_grad for weight in norm.parameters()))
        if self.consistent_leads:
            if spec.normalisation not in KEEPS_LEADS:
                raise UsageError(
                    f"`consistent_leads` does not go with the normalisation "
                    f"`{spec.normalisation}`, which scales each lead by itself; use one of "
                    f"{', '.join(KEEPS_LEADS)} in data.init_args.normalisation."
                )
            self.attack = replace(self.attack, leads=spec.leads)

    def _rehearse(self, task: Task) -> None:
        """Let attack and objective refuse a task that is not theirs now, not after the warm-up."""
        outputs = torch.zeros(2, task.num_outputs)
        kind = torch.int64 if task.kind == "multiclass" else torch.float32
        target = torch.zeros(2 if task.kind == "multiclass" else outputs.shape, dtype=kind)
        if self.objective.raises == "labels":
            Criterion(self.attack.loss, target, self.attack.targeted, self.attack.labels)(outputs)

        def same(rows: slice) -> Tensor:
            return outputs[rows]

        def losses(given: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
            return loss_terms(task.kind, given, truth)

        for _ in self.objective.parts(Views(same, same, losses, target, task.kind), 1.0):
            pass

    def on_fit_start(self) -> None:
        """Refuse a training in which nothing would be attacked, or gradients would be lost."""
        super().on_fit_start()
        if not isinstance(self.trainer.strategy, SingleDeviceStrategy | DDPStrategy):
            raise UsageError(
                "Adversarial training differentiates in parts, which sharded strategies cannot "
                "follow: set trainer.strategy to auto or ddp."
            )
        if self.trainer.precision not in PRECISIONS:
            raise UsageError(
                f"Attacks search in float32, which does not go with trainer.precision "
                f"{self.trainer.precision}: use one of {', '.join(PRECISIONS)}."
            )
        if self.watchman.guard is not None and not self.trainer.limit_val_batches:
            log.warning("The guard attacks validation records; this training validates on none.")
        epochs, trial = self.trainer.max_epochs, bool(getattr(self.trainer, "fast_dev_run", False))
        if epochs is None or epochs < 0 or (self.trainer.max_steps >= 0 and not trial):
            raise UsageError(
                "The schedules of adversarial training go by epochs: set trainer.max_epochs, and "
                "leave trainer.max_steps away."
            )
        if self.first_attacked >= epochs:
            raise UsageError(
                f"The warm-up takes all of the {epochs} epoch(s), so nothing would be attacked: "
                "raise trainer.max_epochs or lower model.init_args.warmup_epochs "
                f"({self.warmup_epochs})."
            )

    @property
    def first_attacked(self) -> int:
        """Number the first epoch with attacks, from 0; a trial of some batches attacks at once."""
        trial = bool(getattr(self.trainer, "fast_dev_run", False))
        return 0 if trial else self.warmup_epochs

    @property
    def attacking(self) -> bool:
        """Say whether the present epoch has attacks."""
        return self.current_epoch >= self.first_attacked

    @property
    def tally(self) -> Tally:
        """Give the account on which the present epoch's steps are booked."""
        return self.cost.adversarial if self.attacking else self.cost.clean

    def scheduled(self, schedule: Schedule, end: float) -> float:
        """Give a scheduled number in the present epoch."""
        first, epochs = self.first_attacked, self.trainer.max_epochs or 0
        return schedule(end, progress(self.current_epoch - first, epochs - first))

    def present_attack(self) -> Attack:
        """Give the attack of the present epoch, at its epsilon."""
        epsilon = self.scheduled(self.epsilon_schedule, self.attack.epsilon)
        return self.watchman.attack(self.attack.with_epsilon(epsilon))

    def adversarial_forward(self, signal: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute outputs `[B, K]` as attacked signals get them: through norms of their own."""
        if not self.adversarial_norm:
            outputs: Tensor = self(signal, mask)
            return outputs
        swapped = self.adversarial_norm.in_place_of(batch_norms(self))
        return cast("Tensor", torch.func.functional_call(self, swapped, (signal, mask)))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Compute the objective of one batch."""
        if not self.attacking:
            return super().training_step(batch, batch_idx) + self.adversarial_norm.idle()
        if batch_idx == 0 and self.current_epoch == self.first_attacked:
            self.adversarial_norm.begin_as(batch_norms(self))
        attack, scale = self.present_attack(), self.scheduled(self.weight_schedule, 1.0)
        total = self.in_parts()
        sums = batch["target"].new_zeros(len(batch["record_id"]), dtype=torch.float32)
        values: dict[str, Tensor] = {}
        for part in self.objective.parts(self._views(batch, attack), scale):
            summand, value = global_mean(part.sums, part.weights)
            total.add(summand)
            sums[part.rows] += part.sums.detach()
            values["loss"] = values.get("loss", 0.0) + value
            for name, share in part.shares.items():
                values[name] = global_mean(share.detach(), part.weights)[1]
        self.count(self.tally, forward=0, backward=0)
        self.report_attack(batch, values, attack.epsilon, scale)
        self.report_step(batch, values["loss"], sums)
        return total.total()

    def in_parts(self) -> InParts:
        """Begin an objective that is differentiated part by part."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        learned = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return InParts(learned, None if scaler is None else scaler.scale)

    def _views(self, batch: dict[str, Any], attack: Attack) -> Views:
        """Offer the outputs on clean and on attacked signals, and book what they take."""
        signal, mask, target = batch["signal"], batch.get("mask"), batch["target"]
        tally = self.tally

        def chosen(rows: slice) -> tuple[Tensor, Tensor | None, Tensor]:
            return signal[rows], None if mask is None else mask[rows], target[rows]

        def clean(rows: slice) -> Tensor:
            real, where, _ = chosen(rows)
            share = len(real) / len(signal)
            tally.forward, tally.backward = tally.forward + share, tally.backward + share
            outputs: Tensor = self(real, where)
            return outputs

        def adversarial(rows: slice) -> Tensor:
            real, where, truth = chosen(rows)
            aim, loss = self.aim(real, where, truth)
            found = replace(attack, loss=loss)(self.attacked(), real, aim, where)
            asked = self.objective.raises == "outputs"
            share = len(real) / len(signal)
            tally.forward += share * (found.forward_calls + found.gradient_calls + 1 + asked)
            tally.backward += share * (found.gradient_calls + 1)
            return self.adversarial_forward(found.signal, where)

        return Views(clean, adversarial, self.losses, target, self.known()[0].kind)

    def attacked(self) -> nn.Module:
        """Give the network as attacks see it."""
        return Branch(self, self.adversarial_forward) if self.adversarial_norm else self

    def aim(
        self, signal: Tensor, mask: Tensor | None, target: Tensor
    ) -> tuple[Tensor, Loss | None]:
        """Give what the attack is told, and the loss that it raises.

        Returns:
            The labels (those of a regression standardised), or the network's own answer.
        """
        task, _ = self.known()
        if self.objective.raises == "outputs":
            with held_still(self), torch.no_grad():
                outputs = self(signal, mask)
            return own_answer(task.kind, outputs, target)
        if task.kind == "regression":
            target = (target - self.target_mean) / self.target_std
        return target, self.attack.loss

    def report_attack(
        self, batch: dict[str, Any], values: dict[str, Tensor], epsilon: float, scale: float
    ) -> None:
        """Log epsilon, scale of the weight and shares of the loss, the same on all processes."""
        size = len(batch["record_id"])
        several = self.trainer.world_size > 1
        found = {f"train/{name}_loss": value for name, value in values.items() if name != "loss"}
        found |= {
            "train/epsilon": torch.tensor(epsilon, device=self.device),
            "train/adversarial_scale": torch.tensor(scale, device=self.device),
        }
        self.log_dict(found, on_step=False, on_epoch=True, batch_size=size, sync_dist=several)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Keep the outputs of one batch, and the first records for the guard."""
        super().validation_step(batch, batch_idx)
        idle = self.trainer.sanity_checking or self.trainer.state.fn != TrainerFn.FITTING
        if self.attacking and not idle:
            self.watchman.keep(batch["signal"], batch["target"], batch.get("mask"))

    def on_validation_epoch_end(self) -> None:
        """Let the guard look, then choose the thresholds and score the validation split."""
        kept = self.watchman.take()
        if kept is not None:
            signal, target, mask = kept
            aim, loss = self.aim(signal, mask, target)
            attack = replace(self.present_attack(), loss=loss)
            self._heed(self.watchman.look(self.attacked(), attack, signal, aim, mask))
        super().on_validation_epoch_end()

    def _heed(self, verdict: Verdict | None) -> None:
        """Log what the guard saw, and let it act."""
        if verdict is None:
            return
        self.count(self.cost.guard, verdict.forward, verdict.backward)
        found = {
            "guard/attack_gain": verdict.gain,
            "guard/reference_gain": verdict.reference_gain,
            "guard/share": verdict.share,
        }
        self.log_dict(found, on_epoch=True, batch_size=1, sync_dist=self.trainer.world_size > 1)
        self.watchman.act(verdict, self.current_epoch)

    @property
    def kept_by(self) -> tuple[str, Literal["min", "max"]] | None:
        """Name the number by which `best.ckpt` is chosen: with `last` that of steps."""
        return None if self.choose == "validation" else ("step", "max")

    def on_train_epoch_end(self) -> None:
        """Log what a step has cost so far."""
        super().on_train_epoch_end()
        found = {
            "cost/forward_passes": self.tally.forward / max(self.tally.steps, 1),
            "cost/backward_passes": self.tally.backward / max(self.tally.steps, 1),
            "cost/wall_time_ratio": self.cost.wall_time_ratio,
        }
        known = {name: value for name, value in found.items() if value is not None}
        self.log_dict(known, sync_dist=self.trainer.world_size > 1)

    def learned_beside(self) -> list[nn.Module]:
        """List what is learned beside the encoder."""
        return [*super().learned_beside(), self.adversarial_norm]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the guard decided."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["guard"] = self.watchman.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over what the guard decided."""
        super().on_load_checkpoint(checkpoint)
        self.watchman.load_state_dict(checkpoint.get("guard", {}))

    @classmethod
    def init_args_of(cls, saved: SavedModel) -> dict[str, Any]:
        """Give the arguments beside the network that the checkpoint's weights need."""
        separate = any(name.startswith("adversarial_norm.") for name in saved.state)
        return {"separate_norm": separate}
