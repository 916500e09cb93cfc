import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { WindowDepositSchema } from "../../../src/gen/depositaja/v1/flag_wallet_pb.ts";
import { textOf } from "../../../src/proof/verify/findings.ts";

test("a message is shown by its fields, and without what the runtime adds", () => {
  const deposit = create(WindowDepositSchema, { position: "5-1", amountMinor: 800_001n });
  const shown = textOf({ deposit, key: new Uint8Array([1, 255]) });
  expect(shown).toStartWith('{"deposit":{"position":"5-1","amountMinor":"800001",');
  expect(shown).toEndWith(',"key":"01ff"}');
  expect(textOf(undefined)).toBe("nothing");
});
