// Writes eksctl.json: which fields a ClusterConfig has, for the parts that deploy/eksctl uses. From eksctl's own JSON schema, a file of its
// Go module: `go mod download github.com/weaveworks/eksctl@v0.215.0`, then
//
//   node write-eksctl.mjs "$(go env GOMODCACHE)/github.com/weaveworks/eksctl@v0.215.0/pkg/apis/eksctl.io/v1alpha5/assets/schema.json"
import { readFileSync, writeFileSync } from "node:fs";

const { definitions } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const used = ["apiVersion", "kind", "metadata", "availabilityZones", "vpc", "accessConfig", "iam", "addonsConfig", "addons", "managedNodeGroups", "cloudWatch"];

function names(schema, above = []) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return above.includes(name) ? {} : names(definitions[name], [...above, name]);
  }
  const result = {};
  if (schema.properties) result.properties = Object.fromEntries(Object.entries(schema.properties).map(([name, below]) => [name, names(below, above)]));
  if (schema.items) result.items = names(schema.items, above);
  if (schema.required) result.required = schema.required;
  if (schema.enum) result.enum = schema.enum;
  return result;
}

const root = definitions.ClusterConfig;
const schema = { properties: Object.fromEntries(used.map((name) => [name, names(root.properties[name])])), required: root.required };
writeFileSync("eksctl.json", JSON.stringify(schema) + "\n");
