"""Renders a chart with Helm 4 and Helm 3, for every file of values.

    render.py CHART HELM3 KUBE_VERSION OUT VALUES...

For each FILE.yaml of VALUES, OUT/FILE.json says what came out: `values`, `notes`, and
the documents of `helm4` and `helm3`, or the `errors` of either. What Kubernetes itself
knows the form of is also in OUT/core/FILE.yaml.
"""

import json
import pathlib
import subprocess
import sys

import helm_python
import yaml

RELEASE, NAMESPACE = "demo", "carillon"


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def with_helm4(chart, values):
    rendered = chart.render(values, name=RELEASE, namespace=NAMESPACE)
    notes = [text for path, text in rendered.items() if path.endswith("NOTES.txt")]
    manifests = [text for path, text in sorted(rendered.items()) if path.endswith(".yaml")]
    return "".join(notes), [document for text in manifests for document in documents(text)]


def with_helm3(helm, chart, kube_version, values_file):
    command = [helm, "template", RELEASE, chart, "--namespace", NAMESPACE]
    command += ["--kube-version", kube_version, "--values", values_file]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return documents(done.stdout)


def is_core(document):
    """Of Kubernetes itself: groups of its own end in .k8s.io or have no dot."""
    group = document["apiVersion"].rpartition("/")[0]
    return group != "gateway.networking.k8s.io" and ("." not in group or group.endswith(".k8s.io"))


def main(chart_folder, helm, kube_version, out, *values_files):
    out = pathlib.Path(out)
    (out / "core").mkdir(parents=True, exist_ok=True)
    with helm_python.Chart.load(chart_folder) as chart:
        for file in map(pathlib.Path, values_files):
            values = yaml.safe_load(file.read_text()) or {}
            result = {"values": values, "errors": {}}
            try:
                result["notes"], result["helm4"] = with_helm4(chart, values)
            except helm_python.HelmError as error:
                result["errors"]["helm4"] = str(error)
            try:
                result["helm3"] = with_helm3(helm, chart_folder, kube_version, str(file))
            except RuntimeError as error:
                result["errors"]["helm3"] = str(error)
            (out / f"{file.stem}.json").write_text(json.dumps(result, indent=1))
            core = [document for document in result.get("helm4", []) if is_core(document)]
            if core:
                (out / "core" / f"{file.stem}.yaml").write_text(yaml.safe_dump_all(core))


if __name__ == "__main__":
    main(*sys.argv[1:])
