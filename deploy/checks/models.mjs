// Checks custom resources against the models of their definitions:
//
//     node models.mjs RENDERED.json...
//
// Twice, because neither finds everything: the models' validators know patterns and
// enumerations, the compiler names keys that there are none of, which a cluster would
// drop without a word. Prints one finding a line, and at last what it has looked at.

import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import ts from "typescript";

const PACKAGES = {
  "gateway.networking.k8s.io": "@kubernetes-models/gateway-api",
  "keda.sh": "@kubernetes-models/keda",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
};

const findings = [];
const counts = {};
const source = [];
const lines = [];

for (const file of process.argv.slice(2)) {
  for (const document of JSON.parse(readFileSync(file)).helm4) {
    const name = PACKAGES[document.apiVersion.split("/")[0]];
    if (!name) continue;
    const { kind } = document;
    const where = `${basename(file, ".json")}: ${kind}/${document.metadata.name}`;
    const module = `${name}/${document.apiVersion}/${kind}`;
    counts[kind] = (counts[kind] ?? 0) + 1;
    const model = new (await import(module))[kind](document);
    try {
      model.validate();
    } catch (error) {
      findings.push(`${where}: ${error.message}`);
    }
    // On one line, so that a line of the compiler's is a document.
    source.push(`(${JSON.stringify(document)}) satisfies import("${module}").I${kind};`);
    lines.push(where);
  }
}

writeFileSync("documents.ts", source.join("\n"));
const options = {
  noEmit: true,
  strict: true,
  skipLibCheck: true,
  types: [],
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
};
const program = ts.createProgram(["documents.ts"], options);
for (const { file, start, messageText } of ts.getPreEmitDiagnostics(program)) {
  const line = file ? file.getLineAndCharacterOfPosition(start).line : -1;
  const text = ts.flattenDiagnosticMessageText(messageText, " ");
  findings.push(`${lines[line] ?? "documents.ts"}: ${text}`);
}

findings.forEach((finding) => console.log(finding));
console.error(JSON.stringify(counts));
process.exitCode = findings.length === 0 ? 0 : 1;
