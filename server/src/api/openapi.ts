/** The OpenAPI document, made from the same schemas that check the requests. */
import { ERRORS } from "@todoku/protocol";
import { z } from "zod";
import { ROUTES } from "./routes.ts";
import type { Route } from "./route.ts";

export function openApiDocument(version: string): Record<string, unknown> {
  return {
    openapi: "3.1.0",
    info: {
      title: "todoku HTTP API",
      version,
      description:
        "What went wrong with a call stands in `error` of an answer with status 200, as its code and message.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    security: [{ key: [] }],
    paths: Object.fromEntries(ROUTES.map((route) => [`/api/${route.method}`, { post: operation(route) }])),
    components: {
      securitySchemes: { key: { type: "apiKey", in: "header", name: "X-API-Key" } },
      schemas: { Error: errorSchema() },
    },
  };
}

const FAILED = {
  type: "object",
  properties: { error: { $ref: "#/components/schemas/Error" } },
  required: ["error"],
};

function operation({ method, summary, request, result, bare }: Route): Record<string, unknown> {
  const answer = {
    oneOf: [
      bare === true
        ? jsonSchema(result, "output")
        : { type: "object", properties: { result: jsonSchema(result, "output") }, required: ["result"] },
      FAILED,
    ],
  };
  const refused = (description: string): Record<string, unknown> => ({ description, content: json(FAILED) });
  return {
    operationId: method,
    summary,
    requestBody: { required: true, content: json(jsonSchema(request, "input")) },
    responses: {
      "200": { description: "The result, or what went wrong.", content: json(answer) },
      "400": refused("The body is not JSON, not UTF-8, or nested too deep."),
      "401": refused("No API key, or a wrong one."),
      "405": refused("Another method than POST."),
      "408": refused("The body took too long."),
      "413": refused("The body is too large."),
    },
  };
}

function errorSchema(): Record<string, unknown> {
  return {
    type: "object",
    properties: {
      code: { type: "integer", enum: Object.values(ERRORS).map(({ code }) => code) },
      message: { type: "string" },
    },
    required: ["code", "message"],
  };
}

function json(schema: unknown): Record<string, unknown> {
  return { "application/json": { schema } };
}

function jsonSchema(schema: z.ZodType, io: "input" | "output"): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}
