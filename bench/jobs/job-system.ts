/** Something that takes jobs and hands them to workers: how it is started, given jobs, and known to be through with them. */

export interface JobSystem {
  readonly name: string;
  readonly versions?: () => Readonly<Record<string, string>>;
  start(setting: JobSetting): Promise<RunningJobs>;
}

export interface JobSetting {
  readonly workers: number;
  /** Jobs that one worker handles at once. */
  readonly concurrency: number;
  /** Redis, where the system is on it, flushes each write before it answers. */
  readonly flushed: boolean;
  /** What each worker does with a job: nothing but counting it. */
  readonly handle: (job: JobData) => void;
}

export interface JobData {
  readonly n: number;
  readonly text: string;
}

export interface RunningJobs extends AsyncDisposable {
  /** Resolves when the job is accepted. */
  enqueue(job: JobData): Promise<unknown>;
  /** Whether the store has no job left. */
  empty(): Promise<boolean>;
  /** Other processes that work for it. */
  readonly pids: readonly number[];
}
