/** The JSON Schema of `plimsoll.yaml`, from the definitions that read it. For editors; `--check` knows more than a schema can say. */
import type { JsonSchema } from '../../core/configuration/definition.ts';
import { configurationFile } from './schema.ts';

export const configurationSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'plimsoll.yaml',
  ...configurationFile.schema,
};
