"""Files of classifiers, and their training on slices small enough for a test."""

import json
import os

import numpy as np
import pytest
import torch
from tiny import tiny_classifier, tiny_unet

from napari_lossguide.cli import main
from napari_lossguide.priors.classifier import data as classifier_data
from napari_lossguide.priors.classifier import train as classifier_train
from napari_lossguide.priors.classifier.classifier import (
    BUNDLED,
    CLASSES,
    find_classifier,
    load_classifier,
    read_info,
    save_classifier,
)
from napari_lossguide.priors.classifier.data import NAMES, UNKNOWN, ClassifierData, read_slices, same_background
from napari_lossguide.priors.classifier.network import HalfUNet
from napari_lossguide.priors.classifier.train import ClassifierConfig, ClassifierTrainer
from napari_lossguide.priors.load import list_priors, save_prior
from napari_lossguide.priors.training.augmentation import Augmentation
from napari_lossguide.types import InvalidInput

INFO = {"name": "tiny", "classes": CLASSES, "sigma_min": 0.002, "sigma_max": 10.0, "licence": "none", "trained_on": "-"}


def test_a_file_gives_the_same_probabilities_again(tmp_path):
    classifier, path = tiny_classifier(), tmp_path / "c.safetensors"
    save_classifier(path, classifier.model.state_dict(), classifier.model.config, INFO)
    again = load_classifier(str(path))
    x = torch.randn((2, 16, 16), generator=torch.Generator().manual_seed(0))
    for question, log_p in classifier(x, 0.5).items():
        torch.testing.assert_close(again(x, 0.5)[question], log_p, atol=0.02, rtol=0.02)  # 16-bit weights
    assert again.info.sha256 and again.classes == CLASSES and os.listdir(tmp_path) == ["c.safetensors"]
    assert read_info(INFO).sha256 == ""


def test_what_is_no_classifier_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(InvalidInput, match="no classifier 'nobody'"):
        find_classifier("nobody")
    prior = tmp_path / "prior.safetensors"
    network = tiny_unet()
    save_prior(prior, network.state_dict(), network.config, {"name": "p", "sigma_data": 0.25})
    with pytest.raises(InvalidInput, match="is not a classifier of this program: its metadata must say"):
        load_classifier(str(prior))
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(InvalidInput, match="cannot be read as safetensors"):
        load_classifier(str(tmp_path / "text.safetensors"))
    other, path = tiny_classifier(), tmp_path / "c.safetensors"
    save_classifier(path, other.model.state_dict(), {**other.model.config, "hidden": 8}, INFO)
    with pytest.raises(InvalidInput, match="do not fit the network"):
        load_classifier(str(path))


def test_classifiers_are_not_priors():
    assert "classifiers" not in {p.name for p in list_priors()}
    assert not set(BUNDLED.glob("*.safetensors")) & set(BUNDLED.parent.glob("*.safetensors"))


def test_loading_leaves_the_global_generator_alone(tmp_path):
    classifier, path = tiny_classifier(), tmp_path / "c.safetensors"
    save_classifier(path, classifier.model.state_dict(), classifier.model.config, INFO)
    before = torch.get_rng_state()
    load_classifier(str(path))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def folder(tmp_path):
    """Slices of 32 pixels whose contrast is the brightness of their rim and whose plane is their shape."""
    data, rng = tmp_path / "data", np.random.default_rng(0)
    data.mkdir()
    y, x = np.mgrid[:32, :32] - 15.5

    def head(ry, rx, rim):
        r = np.hypot(y / ry, x / rx)
        return (
            (255 * ((r < 1) * 0.6 + (np.abs(r - 1) < 0.25) * rim + 0.02 * rng.random((32, 32))))
            .clip(0, 255)
            .astype(np.uint8)
        )

    rims = {"T1W": 0.0, "T2W": 0.2, "FLAIR": 0.4}
    contrast = np.array(list(rims) * 4)
    np.savez(data / classifier_data.AXIAL, images=np.stack([head(8, 8, rims[c]) for c in contrast]), contrast=contrast)
    planes = np.arange(12) % 3
    shapes = [(8, 8), (4, 12), (14, 14)]
    np.savez(data / classifier_data.T1C, images=np.stack([head(*shapes[p], 0.3) for p in planes]), plane=planes)
    labels = np.zeros((4, 32, 32, 32), np.uint8)
    labels[:, 6:26, 6:26, 6:26] = 1
    np.savez(data / classifier_data.HEADS, labels=labels, freesurfer_id=np.array([0, 2]))
    return data


def test_a_question_is_only_asked_where_the_data_set_does_not_answer_it(folder):
    data, rng = ClassifierData(folder), torch.Generator().manual_seed(0)
    answers = torch.stack([data.view(rng, Augmentation(size=16))[1] for _ in range(300)])
    contrast, plane = answers.T
    assert ((contrast == UNKNOWN) != (plane == UNKNOWN)).all()
    for given, question in ((contrast, "contrast"), (plane, "plane")):
        counts = torch.bincount(given[given != UNKNOWN], minlength=len(CLASSES[question]))
        assert counts.min() > 0.5 * counts.float().mean()
    assert set(data.sources["contrast"]) == set(CLASSES["contrast"])


def test_the_background_of_the_sets_is_made_alike():
    rng = torch.Generator().manual_seed(0)
    clean, floor = torch.zeros((32, 32)), torch.full((32, 32), 0.01)
    clean[8:24, 8:24] = floor[8:24, 8:24] = 1
    levels = torch.tensor([[float(same_background(i, rng)[:8].mean()) for i in (clean, floor)] for _ in range(200)])
    assert abs(levels[:, 0].mean() - levels[:, 1].mean()) < 0.3 * levels.mean() + 0.002
    assert float(same_background(clean, rng)[10:20, 10:20].mean()) == pytest.approx(1, abs=0.01)


def tiny_config(tmp_path, **changes):
    network = tiny_unet(widths=(8, 16, 16))
    save_prior(tmp_path / "p.safetensors", network.state_dict(), network.config, {"name": "p", "sigma_data": 0.25})
    values = {"prior": str(tmp_path / "p.safetensors"), "widths": (8, 16), "hidden": 16, "size": 32, "chunks": 3}
    return ClassifierConfig(**(values | {"epochs": 8, "p_mean": -3.0, "p_std": 0.1, "name": "t"} | changes))


def test_training_resumes_to_the_same_weights_and_keeps_the_encoder(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier_train, "CHUNK", 64)
    config, rows = tiny_config(tmp_path), []
    ClassifierTrainer(config, folder, tmp_path / "a").run(rows.append)
    assert rows[-2]["views"] == 192 and 0 <= rows[-1]["contrast"] <= 1
    interrupted = ClassifierTrainer(config, folder, tmp_path / "b")
    torch.save((interrupted.key, *interrupted.chunk(0)), interrupted.chunk_path(0))
    (tmp_path / "b" / "features-00001.part").write_bytes(b"half a chunk")
    ClassifierTrainer(config, folder, tmp_path / "b").run(rows.append)
    a, b = (load_classifier(str(tmp_path / k / "t.safetensors")).model.state_dict() for k in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)
    ours, theirs = load_classifier(str(tmp_path / "a" / "t.safetensors")).model, tiny_unet(widths=(8, 16, 16))
    torch.testing.assert_close(ours.down[2].conv1.weight, theirs.down[2].conv1.weight, atol=2e-3, rtol=1e-2)
    assert not torch.equal(ours.mix.weight, interrupted.model.mix.weight)


def test_the_fit_finds_a_small_difference_under_a_large_one_of_the_noise_level():
    """Features that change a thousand times more with sigma than with what an image shows."""
    rng = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = HalfUNet({q: len(a) for q, a in CLASSES.items()}, 0.25, widths=(8, 16)).requires_grad_(False)
    width = model.center.shape[1]

    def features(n):
        sigma = torch.exp(-0.9 + 1.4 * torch.randn(n, generator=rng))
        contrast, plane = torch.randint(0, 4, (n,), generator=rng), torch.randint(0, 3, (n,), generator=rng)
        pooled = 50 * sigma.log()[:, None] + 0.02 * torch.randn((n, width), generator=rng)
        pooled[torch.arange(n), contrast] += 0.2
        pooled[torch.arange(n), 4 + plane] += 0.2
        asked = torch.rand(n, generator=rng) < 0.5
        answers = torch.stack([contrast.where(asked, UNKNOWN), plane.where(~asked, UNKNOWN)], 1)
        return pooled, sigma, answers

    config = ClassifierConfig(epochs=40, learning_rate=5e-3, weight_decay=0.1)
    row = classifier_train.fit(model, features(2000), features(300), config)
    assert row["contrast"] > 0.95 and row["plane"] > 0.95
    assert not any(p.requires_grad for p in model.parameters())


def test_chunks_of_another_encoder_are_not_mixed_in(folder, tmp_path, monkeypatch):
    """The prior may have been replaced under its name since they were drawn."""
    monkeypatch.setattr(classifier_train, "CHUNK", 16)
    config = tiny_config(tmp_path, chunks=2, epochs=1)
    ClassifierTrainer(config, folder, tmp_path / "a").run([].append)
    network = tiny_unet(1, widths=(8, 16, 16))
    save_prior(tmp_path / "p.safetensors", network.state_dict(), network.config, {"name": "p", "sigma_data": 0.25})
    with pytest.raises(InvalidInput, match=r"features-00000.pt was drawn with another prior"):
        ClassifierTrainer(config, folder, tmp_path / "a").run([].append)


def test_a_prior_with_other_levels_is_refused(folder, tmp_path):
    with pytest.raises(InvalidInput, match=r"has other widths than \[8, 24\]"):
        ClassifierTrainer(tiny_config(tmp_path, widths=(8, 24)), folder, tmp_path / "a")


def test_the_shell_trains(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(classifier_train, "CHUNK", 32)
    config = tiny_config(tmp_path, epochs=1, chunks=2).model_dump(mode="json", exclude={"minutes"})
    lines = "\n".join(f"{k} = {json.dumps(v)}" for k, v in config.items())
    (tmp_path / "c.toml").write_text(lines)
    argv = ["train-classifier", str(tmp_path / "c.toml"), "--data", str(folder), "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    assert load_classifier(str(tmp_path / "out" / "t.safetensors")).info.name == "t"
    assert "held out" in capsys.readouterr().out
    (tmp_path / "wrong.toml").write_text("stepz = 3")
    assert main([*argv[:1], str(tmp_path / "wrong.toml"), *argv[2:]]) == 2
    assert "stepz" in capsys.readouterr().err
    assert main([*argv[:3], str(tmp_path / "nowhere"), *argv[4:]]) == 2


def test_the_bundled_classifier_says_where_it_comes_from_and_knows_its_classes():
    classifier = load_classifier("brain")
    assert classifier.classes == CLASSES and "Lesjak" in classifier.info.trained_on and classifier.info.licence
    assert find_classifier("brain").stat().st_size < 2e6
    assert (BUNDLED / "brain.md").read_text(encoding="utf-8").count("Ljubljana") >= 1
    log_p = classifier(torch.zeros((1, 40, 52)), 0.5)
    assert {q: v.shape for q, v in log_p.items()} == {q: (1, len(a)) for q, a in CLASSES.items()}


def test_the_bundled_classifier_tells_contrasts_of_unseen_people_better_than_chance(shared_data):
    slices, facts = read_slices(shared_data / "validation_brain_t1_t2_flair_256.npz", "contrast")
    x = torch.nn.functional.avg_pool2d(slices[:, None].float(), 2)[:, 0]
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    guess = load_classifier("brain")(x + 0.2 * noise, 0.2)["contrast"].argmax(1)
    truth = torch.tensor([CLASSES["contrast"].index(NAMES[c]) for c in facts["contrast"]])
    assert float((guess == truth).float().mean()) > 0.6
