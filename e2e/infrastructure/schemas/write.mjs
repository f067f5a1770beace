// Writes aws.json and helm.json: the schemas of the resources that deploy/terraform uses, in the form of `terraform providers schema -json`.
// They come from packages that HashiCorp has generated from the providers' own schemas (the prebuilt bindings of CDK for Terraform): their
// TypeScript (MPL-2.0; only names, types and flags are taken), which each file has in its source map, says of each argument whether it is required, optional or computed.
//
//   npm pack @cdktf/provider-aws@21.22.1 @cdktf/provider-helm@12.1.2      # and unpack both, into FOLDER/aws and FOLDER/helm
//   node write.mjs FOLDER $(grep -rhoE '^resource "[a-z_0-9]+"' ../../../deploy/terraform | cut -d '"' -f 2 | sort -u)
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";

const [folder, ...types] = process.argv.slice(2);

// The TypeScript of a resource's folder.
function source(path) {
  const text = readFileSync(path, "utf8");
  const map = text.slice(text.lastIndexOf("base64,") + "base64,".length);
  return JSON.parse(Buffer.from(map, "base64").toString()).sourcesContent.join("\n");
}

// The classes of a resource with their texts. One resource's classes may be in several files of its folder.
function classesOf(directory) {
  const text = readdirSync(directory, { recursive: true }).filter((name) => name.endsWith(".js")).map((name) => source(`${directory}/${name}`)).join("\n");
  const classes = {};
  for (const part of text.split(/^export class /m).slice(1)) {
    classes[part.match(/^\w+/)[0]] = part;
  }
  return { text, classes };
}

// Whether an argument is a block, and how it nests: what the function that prints HCL says of it.
function printed(text, name) {
  const found = text.match(new RegExp(`^ +${name}: \\{\\n +value: .*\\n +isBlock: (true|false),\\n +type: "(\\w+)"`, "m"));
  return found ? { isBlock: found[1] === "true", type: found[2] } : { isBlock: false, type: "list" };
}

const property = /\/\/ (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n(.*\n)?  public get \w+\(\) \{\n([\s\S]*?)\n  \}/g;
const simple = { String: "string", Number: "number", Boolean: "bool", List: ["list", "string"], NumberList: ["list", "number"], StringMap: ["map", "string"], BooleanMap: ["map", "bool"], AnyMap: ["map", "string"] };

function blockOf({ text, classes }, className) {
  const body = classes[className];
  const isResource = body.includes("extends cdktf.TerraformResource");
  const base = className.replace(/OutputReference$/, "");
  const from = isResource ? body.indexOf("synthesizeHclAttributes()") : text.indexOf(`function ${base[0].toLowerCase()}${base.slice(1)}ToHclTerraform(`);
  const hcl = isResource ? body.slice(from) : from < 0 ? "" : text.slice(from, text.indexOf("\n}\n", from));
  const block = { attributes: {}, block_types: {} };
  for (const [, name, computed, optional, required, declaration, getter] of body.matchAll(property)) {
    const flags = Object.fromEntries(Object.entries({ computed, optional, required }).filter(([, is]) => is === "true").map(([flag]) => [flag, true]));
    const plain = getter.match(/this\.get(\w+)Attribute\('/);
    if (plain) {
      let type = simple[plain[1]];
      if (!type) throw new Error(`${className}.${name}: ${getter}`);
      if (getter.includes("Fn.tolist")) type = ["set", type[1]];
      block.attributes[name] = { type, ...flags };
      continue;
    }
    const map = declaration?.match(/= new cdktf\.(\w+Map)\(/);
    if (map) {
      block.attributes[name] = { type: simple[map[1]], ...flags };
      continue;
    }
    const nested = declaration?.match(/= new (\w+)\(this, "\w+"(?:, (true|false))?\)/);
    if (!nested) {
      if (!getter.includes("interpolationForAttribute")) throw new Error(`${className}.${name}: ${declaration}${getter}`);
      block.attributes[name] = { type: "dynamic", ...flags };
      continue;
    }
    const isList = /(List|Map)$/.test(nested[1]);
    const inner = blockOf({ text, classes }, isList ? nested[1].replace(/(List|Map)$/, "OutputReference") : nested[1]);
    const { isBlock, type } = printed(hcl, name);
    const mode = type === "struct" ? "single" : type === "map" || nested[1].endsWith("Map") ? "map" : type === "set" || nested[2] === "true" ? "set" : "list";
    if (isBlock) {
      block.block_types[name] = { nesting_mode: mode, block: inner, ...(required === "true" ? { min_items: 1 } : {}), ...(isList || mode === "single" ? {} : { max_items: 1 }) };
    } else {
      block.attributes[name] = { nested_type: { nesting_mode: mode, attributes: inner.attributes }, ...flags };
    }
  }
  return block;
}

for (const provider of ["aws", "helm"]) {
  const package_ = JSON.parse(readFileSync(`${folder}/${provider}/package.json`, "utf8"));
  const resources = {};
  for (const type of types.filter((type) => type.split("_")[0] === provider)) {
    const name = type.slice(provider.length + 1).replaceAll("_", "-");
    const directory = [name, name.replace(/^/, "_")].map((name) => `${folder}/${provider}/lib/${name}`).find(existsSync);
    const all = classesOf(directory);
    const main = Object.keys(all.classes).find((name) => all.classes[name].includes(`tfResourceType = "${type}"`));
    resources[type] = blockOf(all, main);
  }
  const head = JSON.stringify({ provider: package_.cdktf.provider.name, version: package_.cdktf.provider.version, package: `${package_.name}@${package_.version}` });
  const lines = Object.entries(resources).map(([name, schema]) => `"${name}": ${JSON.stringify(schema)}`);
  writeFileSync(`${provider}.json`, `${head.slice(0, -1)},\n"resources": {\n${lines.join(",\n")}\n}}\n`);
}
