/**
 * Resolves with a promise or after so many ms, whichever is first; what comes of it later is nobody's business.
 * Rejects as the promise does, if that comes in time.
 */
export async function inTime(promise: Promise<unknown>, forMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.max(forMs, 0));
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
