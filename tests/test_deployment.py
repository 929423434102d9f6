"""The files of exports/ against the forms that they must have, and the README's requests against a bundle."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from PIL import Image
from tensorflow_serving.config import model_server_config_pb2

from niwt_tf.models.backbones import build_network
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.export.savedmodel import export_network
from niwt_tf.serving.loopback.server import loopback
from niwt_tf.serving.predict import opened
from tests.serving.answers import verified_here

ROOT = Path(__file__).resolve().parent.parent
EXPORTS = ROOT / "exports"
README = (EXPORTS / "README.md").read_text(encoding="utf-8")
IMAGE = re.compile(r"tensorflow/serving:(\d+\.\d+\.\d+)")
PAIR = re.compile(r"## (\w+)\n(?:(?!\n## ).)*?`POST (\S+)`\n\n```json\n(.*?)```\n\n```json\n(.*?)```", re.DOTALL)
REQUESTS = {name: (path, json.loads(asked), json.loads(answered)) for name, path, asked, answered in PAIR.findall(README)}


def _message(name: str, fields: dict[str, tuple[int, str | None, bool]]) -> type:
    """Return a class for a message of TensorFlow Serving's that its Python package lacks: name -> (type, of, repeated)."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="checked", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    message = file.message_type.add(name=name)
    for number, (field, (kind, of, repeated)) in enumerate(fields.items(), 1):
        message.field.add(name=field, number=number, type=kind, label=3 if repeated else 1, type_name=of)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"checked.{name}"))


def test_models_config():
    config = text_format.Parse((EXPORTS / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("birds", "/models/birds", "tensorflow")
    assert dict(model.version_labels) == {"stable": 1, "canary": 1}
    for added in range(12):
        loaded = _loaded(model.model_version_policy, list(range(1, added + 2)))
        assert set(model.version_labels.values()) <= loaded, f"a label names no version that is loaded after {added} are added"
        assert added + 1 in loaded, "a class that is added must be served without an edit"


def _loaded(policy, on_disk: list[int]) -> set[int]:
    """Return the versions that TensorFlow Serving loads under a policy."""
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return set(on_disk)
    if kind == "specific":
        return set(policy.specific.versions) & set(on_disk)
    return set(sorted(on_disk)[-(policy.latest.num_versions or 1) :])


def test_batching_config():
    wrapped, integer, text = ".google.protobuf.Int64Value", 3, ".google.protobuf.StringValue"
    fields = {name: (11, wrapped, False) for name in ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches")}
    fields |= {"num_batch_threads": (11, wrapped, False), "thread_pool_name": (11, text, False)}
    fields |= {"allowed_batch_sizes": (integer, None, True), "pad_variable_length_inputs": (8, None, False)}
    form = _message("BatchingParameters", fields)
    config = text_format.Parse((EXPORTS / "batching.config").read_text(), form())
    sizes = list(config.allowed_batch_sizes)
    assert sizes == sorted(set(sizes)) and sizes[-1] == config.max_batch_size.value
    assert not config.pad_variable_length_inputs, "a description of zeros would be a class"


def test_monitoring_config():
    text = (EXPORTS / "monitoring.config").read_text()
    body = re.search(r"prometheus_config \{(.*)\}", text, re.DOTALL)
    form = _message("PrometheusConfig", {"enable": (8, None, False), "path": (9, None, False)})
    config = text_format.Parse(body[1], form())
    assert config.enable and config.path == "/monitoring/metrics"
    assert not re.sub(r"#.*|prometheus_config \{.*?\}", "", text, flags=re.DOTALL | re.MULTILINE).strip()


def _compose(name: str = "compose.yaml") -> dict:
    return yaml.safe_load((EXPORTS / name).read_text())["services"]["serving"]


def test_compose():
    serving = _compose()
    assert all(port.startswith("127.0.0.1:") for port in serving["ports"]), "a server without passwords stays on the machine"
    assert serving["read_only"] and serving["volumes"] == [".:/models:ro"] and serving["mem_limit"]
    batching = _compose("compose.batching.yaml")
    more = ["--enable_batching=true", "--batching_parameters_file=/models/batching.config"]
    assert batching == {"command": [*serving["command"], *more]}


def test_kubernetes():
    deployment, service = yaml.safe_load_all((EXPORTS / "kubernetes.yaml").read_text())
    assert (deployment["kind"], service["kind"], service["spec"]["type"]) == ("Deployment", "Service", "ClusterIP")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert pod["metadata"]["labels"].items() >= service["spec"]["selector"].items()
    assert pod["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/v1/models/birds"
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == ports == {"grpc", "rest"}
    assert container["resources"]["limits"].keys() == {"cpu", "memory"}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert container["args"] == _compose()["command"]


def _kserve() -> dict:
    return yaml.safe_load((EXPORTS / "kserve.yaml").read_text())


def test_kserve():
    deployment, _ = yaml.safe_load_all((EXPORTS / "kubernetes.yaml").read_text())
    volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    claim = volumes["models"]["persistentVolumeClaim"]["claimName"]
    service = _kserve()
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    predictor = service["spec"]["predictor"]
    # The name is that of the model, and the folder of the claim has the versions.
    assert predictor["model"]["storageUri"] == f"pvc://{claim}/{service['metadata']['name']}" == f"pvc://{claim}/birds"
    assert predictor["model"]["modelFormat"] == {"name": "tensorflow"} and predictor["model"]["protocolVersion"] == "v1"
    assert 1 <= predictor["minReplicas"] <= predictor["maxReplicas"]
    assert predictor["model"]["resources"] == deployment["spec"]["template"]["spec"]["containers"][0]["resources"]
    visible = {value for name, value in service["metadata"]["labels"].items() if name.endswith("/visibility")}
    assert visible == {"cluster-local"}, "a server without passwords stays in the cluster"


def _vertex(name: str) -> dict:
    return json.loads((EXPORTS / f"vertex_{name}.json").read_text())


def test_vertex_ai():
    container = _vertex("model")["model"]["containerSpec"]
    rest = next(flag for flag in _compose()["command"] if flag.startswith("--rest_api_port="))
    assert container["ports"] == [{"containerPort": int(rest.partition("=")[2])}], "Vertex AI asks the first port alone"
    assert (container["predictRoute"], container["healthRoute"]) == (REQUESTS["serving_default"][0], "/v1/models/birds")
    assert f"docker build -t {container['imageUri']} exports\n" in README, "the image is the one that the README builds"
    deployment = _vertex("deployment")
    assert deployment["trafficSplit"] == {"0": 100}  # all to the model of this request
    resources = deployment["deployedModel"]["dedicatedResources"]
    assert 1 <= resources["minReplicaCount"] <= resources["maxReplicaCount"]


def test_dockerfile():
    text = (EXPORTS / "Dockerfile").read_text().replace("\\\n", "")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    assert [word for word, _ in lines] == ["ARG", "FROM", "COPY", "USER", "EXPOSE", "ENTRYPOINT", "CMD"]
    given = dict(lines)
    assert given["FROM"] == "tensorflow/serving:${TF_SERVING}"
    assert json.loads(given["ENTRYPOINT"]) == _compose()["entrypoint"]
    assert set(json.loads(given["CMD"])) <= set(_compose()["command"])


def test_one_version_of_the_server_everywhere_that_is_tensorflows():
    pinned = set(re.findall(r"TF_SERVING=(\S+)", (EXPORTS / "Dockerfile").read_text()))
    for name in ("compose.yaml", "kubernetes.yaml"):
        pinned |= set(IMAGE.findall((EXPORTS / name).read_text()))
    pinned.add(_kserve()["spec"]["predictor"]["model"]["runtimeVersion"])
    (version,) = pinned
    assert version.rsplit(".", 1)[0] == tf.__version__.rsplit(".", 1)[0]


def test_files_that_are_named_are_there_and_in_git():
    for path in re.findall(r"/models/(\w+\.config)", "".join(file.read_text() for file in EXPORTS.glob("*.yaml"))):
        assert (EXPORTS / path).is_file()
    lines = re.findall(r"^- (`[\w.]+`[^:]*):", README, re.MULTILINE)
    listed = [name for line in lines for name in re.findall(r"`(.*?)`", line)]
    assert set(listed) >= {path.name for pattern in ("*.yaml", "*.json", "*.config") for path in EXPORTS.glob(pattern)} - {
        "compose.batching.yaml", "batching.config",
    }
    for name in listed:
        assert (EXPORTS / name).is_file()
    names = [path.relative_to(ROOT).as_posix() for path in EXPORTS.iterdir() if path.is_file()]
    ignored = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ignored.stdout == ""


def test_links_lead_somewhere():
    headings = {line.lstrip("# ").lower().replace(" ", "-") for line in re.findall(r"^#+ .*", README, re.MULTILINE)}
    assert set(re.findall(r"\(#([\w-]+)\)", README)) <= headings


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return the folder of the versions of a toy bundle."""
    folder = tmp_path_factory.mktemp("models") / "birds"
    network = build_network("small_vgg", ("crow", "dove", "emu"), input_size=16, seed=1)
    image = tmp_path_factory.mktemp("images") / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(image)
    with verified_here():
        export_network(network, folder, check_images=[image])
    return folder


def test_every_request_of_the_readme_is_one_of_a_signature():
    assert REQUESTS.keys() == {"serving_default", "explain", "explain_class", "classify_with", "logits", "classify"}
    for name, (path, asked, _) in REQUESTS.items():
        assert asked.get("signature_name", "serving_default") == name
        assert path == f"/v1/models/birds:{'classify' if name == 'classify' else 'predict'}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["serving_default", "logits"])
def test_the_readmes_requests_are_answered_in_its_form(folder, name):
    path, asked, answered = REQUESTS[name]
    if name == "logits":
        asked = {**asked, "instances": np.zeros((1, 16, 16, 3)).tolist()}
    with loopback(folder, "birds") as server:
        request = urllib.request.Request(server.rest + path, json.dumps(asked).encode())
        with urllib.request.urlopen(request) as answer:
            found = json.load(answer)
    assert _form(found) == _form(answered)


@pytest.mark.slow
def test_the_readmes_examples_are_what_classify_takes(folder):
    _, asked, answered = REQUESTS["classify"]
    (example,) = asked["examples"]
    features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[_bytes(value)])) for name, value in example.items()}
    record = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    with opened(folder) as servable:
        outputs = servable.run("classify", {"inputs": np.array([record], object)})
    names, scores = outputs["classes"][0], outputs["scores"][0]
    pairs = [[name.decode(), float(score)] for name, score in zip(names, scores, strict=True)]
    assert _form({"results": [pairs]}) == _form(answered)


def test_descriptions_in_the_readme_fit_their_answer():
    _, asked, answered = REQUESTS["classify_with"]
    (row,), (answer,) = asked["instances"], answered["predictions"]
    assert np.array(row["descriptions"]).ndim == 2
    assert len(answer["scores"]) == len(answer["logits"]) == len(answer["labels"]) + len(row["descriptions"])
    assert tf.io.decode_image(_bytes(row["image_bytes"])).shape == (1, 1, 3)


def test_the_readme_shows_what_explain_answers():
    from niwt_tf.serving.export.metadata import _contrasted, _explained

    class Toy:
        attribute_names = neuron_names = ("a", "b", "c", "d", "e")

    _, _, answered = REQUESTS["explain"]
    assert answered["predictions"][0].keys() == _explained(Toy(), 16).keys()
    _, asked, answered = REQUESTS["explain_class"]
    assert answered["predictions"][0].keys() == _explained(Toy(), 16).keys() | _contrasted(Toy()).keys()
    assert asked["instances"][0].keys() == {"image_bytes", "class_name", "rival"}


@pytest.mark.slow
def test_the_readmes_program_runs(folder, tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg")
    with loopback(folder, "birds", labels={"stable": 1}) as server:
        text = program.replace("localhost:8500", server.grpc.removeprefix("grpc://"))
        done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(re.findall(r"'(\w+)'", done.stdout)) == set(Bundle.open(folder).labels)


def _bytes(value: dict[str, str]) -> bytes:
    return base64.b64decode(value["b64"], validate=True)


def _form(value: object) -> object:
    """Return the names and types of a JSON value; a list is the form of its first."""
    if isinstance(value, dict):
        return {name: _form(item) for name, item in sorted(value.items())}
    if isinstance(value, list):
        return [_form(value[0])] if len({str(_form(item)) for item in value}) == 1 else [_form(item) for item in value]
    return type(value).__name__
