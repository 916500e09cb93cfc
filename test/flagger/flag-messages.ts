/** Events as the detector writes them, for the flagger's tests. */

import { create } from "@bufbuild/protobuf";
import {
  type FlagWallet,
  FlagWalletSchema,
  WindowDepositSchema,
} from "../../src/gen/depositaja/v1/flag_wallet_pb.ts";

export interface EventOptions {
  readonly ordinal: number;
  readonly episode: number;
  readonly isOpening?: boolean;
  readonly clientId?: string | undefined;
  readonly isLate?: boolean;
}

/** In the window (-70 s, 50 s]; an opening lists the wallet's first deposit and its own. */
export function event(options: EventOptions): FlagWallet {
  const deposit = windowDeposit(options.ordinal, options.clientId);
  const opening = { deposits: [windowDeposit(1), deposit], count: 2n };
  return create(FlagWalletSchema, {
    kind: {
      case: "event",
      value: {
        ruleId: "deposits-over-limit",
        ruleVersion: 1,
        windowStartMs: -70_000n,
        windowEndMs: 50_000n,
        totalMinor: (10n ** 30n).toString(),
        limitMinor: "1000000",
        deposit,
        isLate: options.isLate ?? false,
        episode: BigInt(options.episode),
        ...(options.isOpening === true ? { opening } : {}),
      },
    },
  });
}

function windowDeposit(ordinal: number, clientId?: string) {
  return create(WindowDepositSchema, {
    position: `3-${100 + ordinal}`,
    amountMinor: BigInt(ordinal),
    acceptedAtMs: 40_000n + BigInt(ordinal) * 1_000n,
    ordinal: BigInt(ordinal),
    ...(clientId === undefined ? {} : { clientId }),
  });
}
