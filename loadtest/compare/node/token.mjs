// Whose token it is.

import { createSecretKey } from "node:crypto";

import jwt from "jsonwebtoken";

/** A function from a token to its user: `{ id, username }`; it throws if the token is refused. */
export function tokens(secret) {
  // Made once: from a string, it would be made anew for every token.
  const key = createSecretKey(Buffer.from(secret));
  return (token) => {
    const claims = jwt.verify(token, key, { algorithms: ["HS256"] });
    const id = claims.sub ?? claims.userId ?? claims.id;
    if (typeof id !== "string" || id === "") throw new Error("the token names no user");
    return { id, username: claims.name ?? claims.username ?? id };
  };
}
