// The OpenAPI description as a page: every address, what it takes, what it gives.

import { get } from "./api.js";
import { element } from "./elements.js";

const DEPTH = 5;

/** A schema as an example of what it allows. */
function example(schema, all, depth = 0) {
  if (depth > DEPTH) return "…";
  if (schema.$ref) return example(all[schema.$ref.split("/").pop()], all, depth);
  if (schema.const !== undefined || schema.enum) return (schema.enum ?? [schema.const]).join(" | ");
  if (schema.anyOf) return example(schema.anyOf[0], all, depth);
  if (schema.type === "array") return [example(schema.items ?? {}, all, depth + 1)];
  if (schema.properties) {
    return Object.fromEntries(Object.entries(schema.properties).map(([name, one]) => [name, one.default ?? example(one, all, depth + 1)]));
  }
  if (schema.additionalProperties) return { name: example(schema.additionalProperties, all, depth + 1) };
  return schema.type ?? "anything";
}

const { paths, components } = await get("/api/openapi.json");
for (const [path, methods] of Object.entries(paths)) {
  for (const [method, what] of Object.entries(methods)) {
    const part = element("section", "address");
    part.append(element("h2", "", `${method.toUpperCase()} ${path}`), element("p", "", what.description));
    const asked = what.parameters?.map(({ name, schema }) => `${name}: ${example(schema, components.schemas)}`).join(", ");
    if (asked) part.append(element("p", "", `Parameters: ${asked}`));
    const given = Object.values(what.responses)[0].content?.["application/json"]?.schema;
    for (const [title, schema] of [["takes", what.requestBody?.content["application/json"]?.schema], ["gives", given]]) {
      if (!schema || !Object.keys(schema).length) continue;
      const details = element("details");
      details.append(element("summary", "", title), element("pre", "", JSON.stringify(example(schema, components.schemas), null, 1)));
      part.append(details);
    }
    document.getElementById("paths").append(part);
  }
}
document.documentElement.dataset.ready = "true";
