// What test_in_node.py runs: RUNTIME FOLDER INPUT OUTPUT. Checks the canary, then writes what the queries become.
import fs from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [runtime, folder, input, output] = process.argv.slice(2);
const ort = await import(pathToFileURL(createRequire(`${process.cwd()}/`).resolve(runtime)));
const side = JSON.parse(fs.readFileSync(`${folder}/query_side.json`));
const session = await ort.InferenceSession.create(fs.readFileSync(`${folder}/query_side.onnx`));
const run = (numbers, d) => session.run({ vectors: new ort.Tensor("float32", Float32Array.from(numbers), [numbers.length / d, d]) });

const made = (await run(side.canary.vectors.flat(), side.input_dim)).transformed.data;
const worst = Math.max(...side.canary.transformed.flat().map((number, place) => Math.abs(number - made[place])));
if (!(worst <= 1e-5)) throw new Error(`the canary differs by ${worst}`);

const queries = new Float32Array(new Uint8Array(fs.readFileSync(input)).buffer);
const { transformed, codes } = await run(queries, side.input_dim);
for (const [name, { data }] of Object.entries({ transformed, codes })) {
  fs.writeFileSync(`${output}.${name}`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}
const refused = await run(new Float32Array(side.input_dim - 1), side.input_dim - 1).then(() => false, () => true);
console.log(refused ? "another dimension is refused" : "another dimension is taken");
