/**
 * JSON Schema 2020-12 as far as the agent's OpenAPI document uses it, so that answers are held against what a stranger reads, and
 * not against the code that made it. A keyword it does not know is a mistake, never passed over.
 */
type Json = Readonly<Record<string, unknown>>;

const described = new Set([
  'description',
  'title',
  'default',
  'format',
  'contentEncoding',
  'contentMediaType',
  '$schema',
  'examples',
  'readOnly',
]);

const typeOf = (value: unknown): string =>
  value === null
    ? 'null'
    : Array.isArray(value)
      ? 'array'
      : typeof value === 'number' && Number.isInteger(value)
        ? 'integer'
        : typeof value;

const formats: Readonly<Record<string, RegExp>> = {
  'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
  base64: /^[A-Za-z0-9+/]*={0,2}$/,
};

/** What is wrong with `value`, each with its place; empty if nothing is. */
export const violations = (schema: unknown, value: unknown, root: Json, at = '$'): readonly string[] => {
  if (schema === true) return [];
  if (schema === false) return [`${at}: nothing is allowed here`];
  const s = schema as Json;
  const wrong: string[] = [];
  const say = (text: string): void => void wrong.push(`${at}: ${text}`);
  const inner = (sub: unknown, v: unknown, place = at): readonly string[] => violations(sub, v, root, place);
  const type = typeOf(value);
  for (const [keyword, given] of Object.entries(s)) {
    switch (keyword) {
      case '$ref': {
        const target = String(given)
          .slice(2)
          .split('/')
          .reduce<unknown>((node, key) => (node as Json)[key], root);
        wrong.push(...inner(target, value));
        break;
      }
      case 'type': {
        const wanted = Array.isArray(given) ? given : [given];
        if (!wanted.includes(type) && !(type === 'integer' && wanted.includes('number'))) say(`${type} is not ${wanted.join(' or ')}`);
        break;
      }
      case 'enum':
        if (!(given as unknown[]).includes(value)) say(`${JSON.stringify(value)} is not one of ${JSON.stringify(given)}`);
        break;
      case 'const':
        if (value !== given) say(`${JSON.stringify(value)} is not ${JSON.stringify(given)}`);
        break;
      case 'anyOf':
      case 'oneOf': {
        const matching = (given as unknown[]).filter((sub) => inner(sub, value).length === 0).length;
        if (keyword === 'anyOf' ? matching === 0 : matching !== 1)
          say(`matches ${matching} of ${keyword}: ${JSON.stringify(value)?.slice(0, 80)}`);
        break;
      }
      case 'allOf':
        for (const sub of given as unknown[]) wrong.push(...inner(sub, value));
        break;
      case 'properties':
        if (type !== 'object') break;
        for (const [name, sub] of Object.entries(given as Json))
          if (Object.hasOwn(value as Json, name)) wrong.push(...inner(sub, (value as Json)[name], `${at}.${name}`));
        break;
      case 'required':
        if (type === 'object') for (const name of given as string[]) if (!Object.hasOwn(value as Json, name)) say(`${name} is missing`);
        break;
      case 'additionalProperties':
        if (type !== 'object') break;
        for (const [name, v] of Object.entries(value as Json))
          if (!Object.hasOwn((s['properties'] ?? {}) as Json, name)) wrong.push(...inner(given, v, `${at}.${name}`));
        break;
      case 'propertyNames':
        if (type === 'object') for (const name of Object.keys(value as Json)) wrong.push(...inner(given, name, `${at} (a name)`));
        break;
      case 'items': {
        if (type !== 'array') break;
        const from = ((s['prefixItems'] ?? []) as unknown[]).length;
        for (const [i, v] of (value as unknown[]).entries()) if (i >= from) wrong.push(...inner(given, v, `${at}[${i}]`));
        break;
      }
      case 'prefixItems':
        if (type === 'array')
          for (const [i, sub] of (given as unknown[]).entries()) wrong.push(...inner(sub, (value as unknown[])[i], `${at}[${i}]`));
        break;
      case 'minimum':
        if (typeof value === 'number' && value < (given as number)) say(`${value} is below ${given}`);
        break;
      case 'maximum':
        if (typeof value === 'number' && value > (given as number)) say(`${value} is above ${given}`);
        break;
      case 'minLength':
      case 'maxLength':
        if (typeof value === 'string' && (keyword === 'minLength' ? value.length < (given as number) : value.length > (given as number)))
          say(keyword);
        break;
      case 'pattern':
        if (typeof value === 'string' && !new RegExp(given as string, 'u').test(value))
          say(`${JSON.stringify(value)} does not match ${given}`);
        break;
      default:
        if (!described.has(keyword)) say(`keyword ${keyword} is not known to this check`);
    }
  }
  const format = formats[String(s['format'] ?? s['contentEncoding'] ?? '')];
  if (format !== undefined && typeof value === 'string' && !format.test(value)) say(`is no ${s['format'] ?? s['contentEncoding']}`);
  return wrong;
};
